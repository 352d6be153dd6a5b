"""A student outside openmic: merged weights, GGUF, and how far what they say agrees with the adapter."""
