"""A critic in Python: whether a title is of the article's words, short, and no sentence."""

from collections.abc import Mapping, Sequence


def headline(source: Mapping[str, str], titles: Sequence[str]) -> list[float]:
    """The share of its words that stand in the article, less what it has over or under six words, or a full stop."""
    article = set(source["article"].lower().replace(".", "").split())
    words = [title.lower().split() for title in titles]
    found = [sum(word in article for word in said) / max(1, len(said)) - abs(len(said) - 6) / 12 for said in words]
    return [score - 0.5 * title.endswith(".") for score, title in zip(found, titles, strict=True)]
