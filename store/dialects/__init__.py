"""The two kinds of database a store may lie in, and how each is opened."""
