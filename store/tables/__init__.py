"""The store's tables."""
