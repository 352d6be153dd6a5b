"""Finding dialogues: filters and full-text search."""
