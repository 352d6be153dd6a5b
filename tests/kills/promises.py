"""What a run that was disturbed is held to: nothing is lost, doubled or changed against the run that was not."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from openmic.store import Adapter, Dialogue, Evaluation, LLMCall, Preference, Store, Training, TrainingItem, Turn

from ..whole_run import WholeRun

Facts = dict[str, Mapping[Any, Any]]
IN_FLIGHT = 48
"""The most replies that can be on their way at once: of teacher, critic and judge, each by its `max_concurrency`."""


def broken(run: WholeRun, expected: WholeRun) -> tuple[list[str], int]:
    """What does not hold of a finished run, in words, and how many requests were answered more than once."""
    found, wanted = facts_of(run), facts_of(expected)
    wrong = [f"{what}: {told}" for what, facts in wanted.items() for told in _differences(found[what], facts)]
    with Store.open_readonly(run.store) as store:
        used = Counter(item.preference_id for item in store.select(TrainingItem) if item.preference_id)
        wrong += [f"preference {name} was trained on {number} times" for name, number in used.items() if number > 1]
        stored = {row.key for row in store.select(LLMCall)}
    answers = Counter(line["request_hash"] for line in run.journal if line["status"] == 200)
    again = sum(number - 1 for number in answers.values())
    if again > IN_FLIGHT:
        wrong.append(f"{again} replies were paid for twice, more than can have been on their way")
    if len(stored) != len(answers):
        wrong.append(f"{len(answers)} requests were answered, and {len(stored)} replies are stored")
    if run.status["gain"] != expected.status["gain"]:
        wrong.append(f"the gain is {run.status['gain']}, undisturbed {expected.status['gain']}")
    return wrong, again


def facts_of(run: WholeRun) -> Facts:
    """Everything that a run came to, each by its place and without what differs from run to run."""
    with Store.open_readonly(run.store) as store:
        dialogues = {row.id: (row.stage.value, row.round, row.example_id) for row in store.select(Dialogue)}
        said = store.select(Turn)
        places = {turn.id: (*dialogues[turn.dialogue_id], turn.seq) for turn in said}
        turns = {
            places[turn.id]: (turn.kind.value, turn.agent.value, turn.adapter_version, turn.seed, turn.content)
            for turn in said
        }
        ended = {dialogues[row.id]: (row.status, row.stop_reason, row.error) for row in store.select(Dialogue)}
        preferences = Counter(
            (places[row.chosen_turn_id], places[row.rejected_turn_id], row.source) for row in store.select(Preference)
        )
        versions = {
            row.version: (row.parent_version, row.stage, row.round, row.status) for row in store.select(Adapter)
        }
        trainings = {row.adapter_version: (row.status, row.examples, row.objective) for row in store.select(Training)}
        evaluations = {
            (row.adapter_version, row.split.value): (row.status, row.summary) for row in store.select(Evaluation)
        }
    return {
        "turns": _each_once(turns, len(said)),
        "dialogues": ended,
        "preferences": preferences,
        "versions": versions,
        "trainings": trainings,
        "evaluations": evaluations,
    }


def _each_once(turns: dict[Any, Any], number: int) -> dict[Any, Any]:
    return turns if len(turns) == number else turns | {"doubled": number - len(turns)}


def _differences(found: Mapping[Any, Any], wanted: Mapping[Any, Any]) -> Iterable[str]:
    """The first few places where two tables differ."""
    places = [place for place in {**wanted, **found} if found.get(place) != wanted.get(place)]
    for place in places[:3]:
        yield f"{place} is {found.get(place)!r:.120}, undisturbed {wanted.get(place)!r:.120}"
    if len(places) > 3:
        yield f"and {len(places) - 3} more"
