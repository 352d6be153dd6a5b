"""Runs: starting, resuming, retraining, rejudging and evaluating, and their end on record."""
