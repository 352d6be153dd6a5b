"""Endpoints as they are: habits of real OpenAI-compatible servers, and whole campaigns that meet them."""
