"""What a critic of humor says about a paraphrase, part by part of the rubric."""

from collections.abc import Mapping

from ...core.english import content_stems, stem
from ...core.text import words
from ..skill import Remarks
from .devices import joke
from .sentences import read_sentence


def _details(sentence: str, draft: str) -> Mapping[str, str]:
    said = {stem(word) for word in words(draft)}
    wanted = set(content_stems(sentence))
    lost = [repr(word) for word in words(sentence) if stem(word) in wanted - said]
    return {"lost": " and ".join(lost[:3]), "length": str(len(words(draft)))}


def _suggest(sentence: str, *parts: str | int) -> str:
    return joke(read_sentence(sentence), "suggestion", *parts)


REMARKS = Remarks(
    works={
        "device": ("The comic turn works.", "There is a real joke in it.", "It has a comic idea."),
        "meaning": ("It keeps what the sentence says.", "The meaning is all there.", "It stays true to the sentence."),
        "brevity": ("It is short.", "It does not outstay its welcome.", "The length is right."),
        "original": ("It adds something of its own.", "It is more than a copy.", "It goes beyond the sentence."),
        "fresh": ("The ending is not worn out.", "I have not heard this ending before.", "The last words are fresh."),
    },
    missing={
        "device": "It states the facts without a comic device: no exaggeration, comparison or turn.",
        "meaning": "It loses what the sentence says; {lost} should still be there.",
        "brevity": "It rambles: at {length} words the joke is buried.",
        "original": "It repeats the sentence and adds next to nothing.",
        "fresh": "The ending is stale or says the same thing over and over.",
    },
    nothing_missing="Nothing is missing; only the last words could be sharper.",
    better={
        "device": "has the stronger comic idea.",
        "meaning": "keeps more of what the sentence says.",
        "brevity": "gets to its joke in fewer words.",
        "original": "adds more of its own.",
        "fresh": "has the fresher ending.",
    },
    details=_details,
    suggest=_suggest,
)
