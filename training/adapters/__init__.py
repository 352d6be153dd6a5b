"""Adapters: committed, verified, kept in a folder or in remote storage."""
