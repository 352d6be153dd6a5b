"""One fine-tuning: examples in, optimizer steps, an adapter out."""
