"""Tasks: what is to be learned, with each role's prompts, and how outputs are read and checked."""
