"""What a critic of plain language says about a version, part by part of the rubric."""

from collections.abc import Mapping

from ...core.text import words
from ..skill import Remarks
from .facts import lost
from .lexicon import OFFICIALESE
from .rewriting import rewrite, sentences


def _details(source: str, draft: str) -> Mapping[str, str]:
    said = words(draft)
    stiff = [repr(" ".join(hit.entry.phrase)) for hit in OFFICIALESE.find(said)]
    gone = [repr(word) for word in lost(source, draft)] or ["every 'not' of the notice"]
    longest = max(len(words(sentence)) for sentence in sentences(draft))
    return {
        "stiff": " and ".join(stiff[:3]) or "what nobody says",
        "lost": " and ".join(gone[:3]),
        "length": str(len(said)),
        "longest": str(longest),
    }


def _suggest(source: str, *parts: str | int) -> str:
    """The hardest sentence of the source in plain words."""
    flat = " ".join(source.split())
    hardest = max(
        sentences(flat), key=lambda sentence: sum(hit.end - hit.start for hit in OFFICIALESE.find(words(sentence)))
    )
    return rewrite(hardest, "suggestion", *parts)


REMARKS = Remarks(
    works={
        "plain": ("The words are plain.", "It uses words that everybody knows.", "No officialese is left."),
        "short": ("The sentences are short.", "Each sentence says one thing.", "It is easy to take in."),
        "facts": ("The facts are all there.", "It keeps what the notice says.", "Nothing that matters is lost."),
        "brief": ("It is brief.", "It takes no more words than it needs.", "The length is right."),
        "own": ("It is truly rewritten.", "It is more than a copy.", "It finds words of its own."),
        "direct": ("It speaks to its readers as equals.", "The tone is right.", "It comes to the point."),
    },
    missing={
        "plain": "It still says {stiff}, which nobody says aloud.",
        "short": "A sentence of {longest} words is too long to take in.",
        "facts": "It loses what the notice says; {lost} should still be there.",
        "brief": "It explains too much: {length} words are more than the notice needs.",
        "own": "It hardly changes the notice.",
        "direct": "It talks down to its readers or repeats itself.",
    },
    nothing_missing="Nothing is missing; only a word here or there could be shorter.",
    better={
        "plain": "uses plainer words.",
        "short": "has shorter sentences.",
        "facts": "keeps more of what the notice says.",
        "brief": "is briefer.",
        "own": "changes more of what was hard to read.",
        "direct": "speaks to its readers more directly.",
    },
    details=_details,
    suggest=_suggest,
)
