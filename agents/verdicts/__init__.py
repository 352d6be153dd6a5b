"""Verdicts: asking which of two texts is better, reading the replies, and what they add up to."""
