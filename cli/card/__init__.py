"""The critic card: the command, and what it says."""
