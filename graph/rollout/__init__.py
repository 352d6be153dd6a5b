"""Rollouts: one input's dialogue, and how every word of it becomes a row."""
