"""Replies of large models: committed before they are used, and asked for in batches where they may be."""
