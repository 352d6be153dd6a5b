"""The critic card: how far a critic agrees with people, and where it does not. Knows records, asks nobody."""
