"""Endpoints: the client for OpenAI-compatible servers, its options, its replies and its checks."""
