"""The teacher's stock of words, from `lexicon.yaml`."""

from pathlib import Path

from ..word_lists import as_lists, read_words

_WORDS = read_words(Path(__file__).with_name("lexicon.yaml"))

SLOTS: dict[str, tuple[str, ...]] = as_lists(_WORDS.pop("slots"))
"""The fillers of each slot, at least fifteen of each."""

_LISTS = as_lists(_WORDS)

STOCK_PHRASES: tuple[str, ...] = _LISTS["stock_phrases"]
"""Punch lines that were funny once."""
FILLERS: tuple[str, ...] = _LISTS["fillers"]
"""Words that add nothing, and no joke; `{the}` is a noun of the sentence."""
VAGUE_BODIES: tuple[str, ...] = _LISTS["vague_bodies"]
"""What is left of a sentence when its meaning is lost."""
RAMBLES: tuple[str, ...] = _LISTS["rambles"]
"""Clauses that lead nowhere, about twenty words each; `{the}` is a noun of the sentence."""
