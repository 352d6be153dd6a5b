"""`openmic experiment` and `openmic report`, and the documents that they write."""
