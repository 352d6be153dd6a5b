"""Scorers that are models: they run where the weights do, in actors of their own."""
