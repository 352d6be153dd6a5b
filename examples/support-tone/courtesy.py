"""A critic in Python: how courteous a reply is, and whether it keeps the figures of the note it is made of."""

import re
from collections.abc import Sequence

KIND = ("thank", "sorry", "please", "glad", "happy to")


def courtesy(note: str, replies: Sequence[str]) -> list[float]:
    """A point for each kind word and each figure that is kept; a long reply loses some."""
    said = [reply.lower() for reply in replies]
    kind = [sum(word in text for word in KIND) for text in said]
    kept = [sum(figure in text for figure in re.findall(r"\d+", note)) for text in said]
    return [one + two - len(text.split()) / 40 for one, two, text in zip(kind, kept, said, strict=True)]
