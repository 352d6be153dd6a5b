"""Whole tiny campaigns on endpoints with habits, and what is looked at when they have ended."""

import random
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from ..agents.scripted_endpoint import Answer, Asked, ScriptedEndpoint, model_list
from ..whole_run import openmic_here, resume_command, write_config
from .habits import HABITS, Say, usual
from .words import MARKS, better

LAST_RESUME = 6
"""A run is resumed at most so often: one that stops again and again would never end."""


@dataclass
class Campaign:
    """How a campaign ended, and what its store holds."""

    name: str
    code: int
    stderr: str
    resumed: int
    dialogues_failed: int
    bought: int
    """Replies with words in them that the endpoint sent, beside preflight's."""
    kept: int
    """Replies in the store."""
    dirty: list[str] = field(default_factory=list)
    """Texts trained on or judged that hold what only thoughts, preambles, fences or cuts hold."""
    misread: int = 0
    """Replies to comparisons that were read as the label they did not give."""

    @property
    def bought_twice(self) -> int:
        """Replies that were paid for and thrown away."""
        return max(0, self.bought - self.kept)


class Till:
    """Counts what was sold: replies with words in them."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._lock = threading.Lock()
        self.sold = 0

    def __call__(self, asked: Asked, number: int) -> Answer:
        answer = self._say(asked.body, number)
        probe = len(asked.body.get("messages", ())) == 1 and len(asked.body["messages"][0]["content"]) < 40
        if answer.status == 200 and not probe and not answer.close and _has_words(answer.body):
            with self._lock:
                self.sold += 1
        return answer


def _has_words(body: Any) -> bool:
    try:
        return bool(body["choices"][0]["message"]["content"])
    except (TypeError, LookupError):
        return False


class Mixed:
    """Each answer has one habit of all, drawn with a probability; else it is as usual.

    What stops a run is drawn twice in all: the run is resumed.
    """

    def __init__(self, names: Iterable[str], share: float, seed: int) -> None:
        self._names, self._share = sorted(names), share
        self._draws = random.Random(seed)
        self._lock = threading.Lock()
        self.drawn: Counter[str] = Counter()

    def __call__(self, body: dict[str, Any], number: int) -> Answer:
        with self._lock:
            if self._draws.random() >= self._share:
                return usual(body, number)
            name = self._draws.choice(self._names)
            if HABITS[name].final and sum(self.drawn[final] for final in self._names if HABITS[final].final) >= 2:
                return usual(body, number)
            self.drawn[name] += 1
        # Trouble that passes is met once wherever it is drawn.
        return HABITS[name].say(body, 0)


def hold(
    name: str, say: Say, folder: Path, student: Path, *, models: Answer | None = None, **sections: dict[str, Any]
) -> Campaign:
    """A campaign on an endpoint; one that stopped and says how to go on is resumed on the same endpoint."""
    till = Till(say)
    with ScriptedEndpoint() as endpoint:
        endpoint.chat = till
        endpoint.models = lambda asked, number: models or Answer(body=model_list("m"))
        asked = {"model": "m", "base_url": endpoint.base_url, "patience_s": 3}
        settings: dict[str, dict[str, Any]] = {
            "cast": {"teacher": asked, "critic": asked, "judge": asked},
            "inputs": {"limit": 12},
            "dialogue": {"inputs": 3, "candidates": 2},
            "evaluation": {"dev_inputs": 2, "test_inputs": 2},
        }
        config = write_config(
            folder, student, **{key: settings.get(key, {}) | sections.get(key, {}) for key in {*settings, *sections}}
        )
        done = openmic_here("run", str(config), cwd=folder)
        resumed, final = 0, HABITS[name].final if name in HABITS else False
        while done.returncode != 0 and "to go on:" in done.stderr and not final and resumed < LAST_RESUME:
            resumed += 1
            done = openmic_here(*resume_command(done.stderr), cwd=folder)
    return _looked_at(name, done.returncode, done.stderr, resumed, till.sold, folder / "openmic-data" / "openmic.db")


TEXTS = """
SELECT DISTINCT content FROM turn WHERE kind IN ('demonstration', 'draft', 'revision') AND id IN (
    SELECT turn_id FROM training_item
    UNION SELECT chosen_turn_id FROM preference UNION SELECT rejected_turn_id FROM preference
    UNION SELECT reference_turn_id FROM evaluation_item UNION SELECT output_turn_id FROM evaluation_item
)"""
"""What was trained on or judged."""
BALLOTS = """
SELECT first.content, second.content, ballot.p_first FROM ballot JOIN verdict ON verdict.id = ballot.verdict_id
JOIN turn AS first ON first.id = verdict.first_turn_id JOIN turn AS second ON second.id = verdict.second_turn_id"""
READ = 0.01
"""A reply is read as a label where its probability is further than this from one half."""


def _looked_at(name: str, code: int, stderr: str, resumed: int, sold: int, store: Path) -> Campaign:
    if not store.exists():
        return Campaign(name, code, stderr, resumed, 0, sold, 0)
    engine = sa.create_engine(f"sqlite:///{store}")
    with engine.connect() as connection:
        kept = connection.execute(sa.text("SELECT count(*) FROM llm_call")).scalar_one()
        failed = connection.execute(sa.text("SELECT count(*) FROM dialogue WHERE status = 'failed'")).scalar_one()
        texts = connection.execute(sa.text(TEXTS)).scalars().all()
        ballots = connection.execute(sa.text(BALLOTS)).all()
    engine.dispose()
    dirty = [text for text in texts if any(mark in text for mark in MARKS)]
    misread = sum(
        abs(p - 0.5) > READ and (p > 0.5) != (better(first, second) == 1)
        for first, second, p in ballots
        if first.strip() != second.strip()
    )
    return Campaign(name, code, stderr, resumed, failed, sold, kept, dirty, misread)
