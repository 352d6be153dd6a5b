"""The student itself: its weights, its tokenizer, loading it."""
