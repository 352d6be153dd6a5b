"""What bad plain versions are padded with, from `padding.yaml`."""

from pathlib import Path

from ..word_lists import as_lists, read_words

_LISTS = as_lists(read_words(Path(__file__).with_name("padding.yaml")))

PATRONISING: tuple[str, ...] = _LISTS["patronising"]
"""Openings that talk down."""
PATRONISING_CLOSINGS: tuple[str, ...] = _LISTS["patronising_closings"]
"""Closings that talk down."""
EXPLANATIONS: tuple[str, ...] = _LISTS["explanations"]
"""Sentences that say nothing of the notice."""
