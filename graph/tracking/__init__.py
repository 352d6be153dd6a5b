"""Experiment trackers: what the store holds of a run, sent where people look at runs."""
