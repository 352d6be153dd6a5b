"""Experiments: arms times seeds from one file, each an ordinary run in one store, and one table of them all."""
