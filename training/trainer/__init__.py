"""The trainer: a Ray actor that fine-tunes, and the driver's end of it."""
