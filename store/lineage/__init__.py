"""Lineage: where a text or an adapter comes from, and what became of it."""
