"""`openmic init` and `openmic config`: a configuration made, and shown."""
