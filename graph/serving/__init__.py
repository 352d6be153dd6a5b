"""A run's student behind OpenAI's API, in one process and without Ray."""
