"""Tasks: what is to be learned, as files with the prompts of each role, and how outputs are read and checked."""
