"""The critic card: a critic before pairs that people labelled, before it is believed."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .core.errors import ConfigError
from .given import ConfigLike, Overrides, resolve, with_place_for

if TYPE_CHECKING:
    from .evaluation.card.card import CriticCard
    from .evaluation.card.pairs import LabelledPairs
    from .graph.runs.critic_card import CardFound


class Card:
    """How far a critic agrees with people, and where it does not."""

    def __init__(self, found: "CardFound", read: "LabelledPairs", pairs: str, confidence: float) -> None:
        self._found, self._read = found, read
        self.pairs = pairs
        """What the pairs were read from."""
        self.confidence = confidence
        """Of its intervals."""

    @property
    def critic(self) -> tuple[str, ...]:
        """Who was asked, by name: the critic and its jurors."""
        return self._found.critic

    @property
    def card(self) -> "CriticCard | None":
        """The figures; None where the critic gave no verdict on any pair."""
        return self._found.card

    @property
    def failed(self) -> Mapping[str, int]:
        """On how many pairs the critic gave no verdict, by what went wrong."""
        return self._found.failed

    def as_json(self) -> dict[str, Any]:
        """Everything there is to say, intervals as `value` and `ci`."""
        found, card = self._found, self.card
        return {
            "critic": list(found.critic),
            "simulated": found.simulated,
            "pairs": self.pairs,
            "confidence": self.confidence,
            "unlabelled": self._read.unlabelled,
            "alike": self._read.alike,
            "twice": self._read.twice,
            "empty": self._read.empty,
            "failed": dict(found.failed),
            "replies": {"all": found.replies, "asked_now": found.asked},
            "card": None if card is None else card.as_json(),
        }

    def to_markdown(self) -> str:
        """The card as Markdown."""
        from .cli.card.document import card_document
        from .cli.experiments.document import markdown

        return markdown(card_document(self.as_json()))

    def to_html(self) -> str:
        """The card as one page that needs nothing else."""
        from .cli.card.document import card_document
        from .cli.experiments.document import html

        return html(card_document(self.as_json()))

    def _repr_markdown_(self) -> str:
        return self.to_markdown()

    def __repr__(self) -> str:
        card = self.card
        rate = "no verdict" if card is None or card.accuracy is None else f"{card.accuracy.value:.1%} as people"
        return f"<Card of {', '.join(self.critic)} on {self.pairs}: {rate}>"


def critic_card(
    pairs: str | Path | Iterable[Mapping[str, Any]],
    *,
    critic: Any = None,
    config: ConfigLike | None = None,
    overrides: Overrides = None,
    task: Any = None,
    first: str = "first",
    second: str = "second",
    labels: str | Sequence[str] = "label",
    source: str | None = None,
    margin: str | None = None,
    progress: Any = False,
    check: bool = True,
) -> Card:
    """Ask a critic about pairs that people labelled, in both orders, and see how far it agrees with them.

    Args:
        pairs: A .csv, .tsv, .jsonl, .json or .parquet file, or rows as mappings.
        critic: As for `run`, or the name of a scorer that ships, or module:attribute. None: the configuration's.
        config: As for `run`: its critic and jury, task, verdicts and budget are used. None: the simulated cast.
        overrides: As for `run`.
        task: A `Task`, or its name or file. None: the configuration's, else humor.
        first: The column of the first text.
        second: The column of the second.
        labels: The columns of labels, one for each person: 1 where the first is better, 2 where the second is, 0 where
            neither is, empty where it was not asked.
        source: The input's column. None: `input`, where there is one.
        margin: A column that says how far apart people found the two. None: `margin`, where there is one.
        progress: As for `run`.
        check: Whether endpoints are asked beforehand whether they answer.

    Raises:
        InputError: the pairs cannot be read; nobody was asked.
        OpenmicError: the critic cannot be had, or it was interrupted: what was answered is kept, and the same call goes
            on from there.
    """
    from .api import shown
    from .evaluation.card.pairs import Columns, read_pairs
    from .graph.runs.critic_card import card_of

    named = (labels,) if isinstance(labels, str) else tuple(labels)
    columns = Columns(first, second, named, source, margin)
    used = [first, second, *named, *(name for name in (source, margin) if name is not None)]
    if twice := next((name for name in used if used.count(name) > 1), None):
        raise ConfigError(f"the column {twice!r} is named twice; each column is one thing")
    if not named:
        raise ConfigError("no column of labels is named; name at least one")
    read = read_pairs(pairs, columns)
    given = {"use": critic} if isinstance(critic, str) else critic
    resolved, plugs = resolve(
        with_place_for({} if config is None else config, ()), overrides, {"critic": given, "task": task}
    )
    found = card_of(resolved, plugs, read.pairs, shown(progress), ask=check)
    where = str(pairs) if isinstance(pairs, str | Path) else "rows given in Python"
    return Card(found, read, where, resolved.evaluation.confidence)
