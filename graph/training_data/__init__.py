"""Training data: which stored texts a training learns from, and in what form."""
