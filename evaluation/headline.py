"""What matters first of a run: its gain in a sentence, and inputs with what each version made of them.

Terminal, viewer, report and JSON all say it from here. Nothing is chosen by anybody: a rule picks versions and inputs.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from ..core.config import EvaluationSettings
from ..core.records import JudgedOutput
from .intervals import FEW
from .shown import score_columns, shown_score, undecided

SAMPLES = 3
"""Inputs that are shown."""
RULE = "of the test inputs judged for each version, those whose hashes come first: nobody has chosen them"
SIMULATED = "figures of the simulated cast"


class Version(Protocol):
    """An adapter, as far as it matters here."""

    @property
    def version(self) -> int:
        """Its number."""

    @property
    def stage(self) -> str:
        """What made it: `base`, `imitation` or `round`."""

    @property
    def status(self) -> str:
        """`promoted`, `rolled_back` or `candidate`."""


def ends_of_gain(versions: Sequence[Version]) -> tuple[int, int] | None:
    """The versions between which the gain of feedback is: imitation, and the last one of a round.

    The last one is the last that was promoted; where none was, the last that was tried, so that a failure is reported
    as a number too. None where there is no imitation or no round.
    """
    imitation = [one.version for one in versions if one.stage == "imitation"]
    rounds = [one for one in versions if one.stage == "round"]
    if not imitation or not rounds:
        return None
    return imitation[0], ([one for one in rounds if one.status == "promoted"] or rounds)[-1].version


def shown_versions(versions: Sequence[Version], judged: Mapping[int, Any]) -> list[int]:
    """Versions whose outputs stand side by side: no adapter, imitation, the last of a round; those that were judged."""
    ends = ends_of_gain(versions) or [one.version for one in versions][-1:]
    first = [one.version for one in versions if one.stage in {"base", "imitation"}][:2]
    return [number for number in dict.fromkeys([*first, *ends]) if number in judged]


def gain_between(
    ends: tuple[int, int] | None,
    outputs: Mapping[int, Sequence[JudgedOutput]],
    settings: EvaluationSettings,
    seed: int,
) -> dict[str, Any] | None:
    """The paired difference on test inputs: `from`, `to`, `value`, `ci`, `n`; None where either was not judged."""
    if ends is None or not all(outputs.get(version) for version in ends):
        return None
    from .summary import gain  # which needs numpy: most of what asks for a headline has no gain to work out

    before, after = (outputs[version] for version in ends)
    difference = gain(before, after, settings, seed)
    if difference is None:
        return None
    return {
        "from": ends[0],
        "to": ends[1],
        "value": difference.value,
        "ci": [difference.low, difference.high],
        "n": len({one.input_id for one in before} & {one.input_id for one in after}),
    }


def headline(
    versions: Sequence[Version],
    summaries: Mapping[int, Mapping[str, Any]],
    outputs_of: Callable[[int], Sequence[JudgedOutput]],
    settings: EvaluationSettings,
    seed: int,
    *,
    simulated: bool,
    samples: int = SAMPLES,
) -> dict[str, Any]:
    """The first thing to say of a run, ready for JSON.

    Args:
        versions: All adapters in order.
        summaries: What each came to on the test inputs (`VersionSummary.as_json`), of those that were judged.
        outputs_of: Gives a judged version's outputs; asked for those of `shown_versions` alone.
        settings: How the run evaluates.
        seed: Makes the interval reproducible.
        simulated: Whether teacher, critic and judge were the simulated cast.
        samples: How many inputs are shown.

    Returns:
        `gain` (see `gain_between`), `sentence`, `figures` (one line each, of the versions that are compared), `rule`
        and `samples`: of each input `input`, `teacher` and `outputs`, each with `version`, `text`, `outcome` and
        `dialogue`.
    """
    judged = {number: summary for number, summary in summaries.items() if summary.get("n")}
    shown = shown_versions(versions, judged)
    outputs = {number: outputs_of(number) for number in shown}
    between = gain_between(ends_of_gain(versions), outputs, settings, seed)
    sentence = _sentence(between, shown, judged, settings, max(one.version for one in versions) if versions else 0)
    compared = [] if not shown else shown[-1:] if between is None else [between["from"], between["to"]]
    return {
        "gain": between,
        "sentence": f"{sentence} ({SIMULATED})" if simulated and shown else sentence,
        "figures": _figures({number: judged[number] for number in compared if number in judged}),
        "rule": RULE,
        "samples": side_by_side(outputs, samples, "version"),
    }


def _sentence(
    between: Mapping[str, Any] | None,
    shown: Sequence[int],
    judged: Mapping[int, Mapping[str, Any]],
    settings: EvaluationSettings,
    newest: int,
) -> str:
    if not shown:
        return "no version was judged on the test inputs yet"
    few = f"; under {FEW} inputs, so read it with care"
    name = f"{settings.confidence * 100:g}% interval"
    if between is None:
        of = judged[shown[-1]]
        low, high = of["ci"]
        rate = "every comparison was a tie" if undecided(of) else f"{of['win_tie_rate']:.1%} ({name} {low:.1%} to"
        told = rate if undecided(of) else f"wins or ties in {rate} {high:.1%})"
        tail = "" if shown[-1] == newest else f"; v{newest} is not judged yet"
        care = few if of["n"] < FEW else ""
        return f"v{shown[-1]} against the teacher on {of['n']} test inputs: {told}{tail}{care}"
    before, after = judged[between["from"]], judged[between["to"]]
    low, high = between["ci"]
    if undecided(before) and undecided(after):
        verdict = "nothing was decided, every comparison was a tie"
    else:
        verdict = "feedback beats imitation" if low > 0 else "feedback is worse" if high < 0 else "no clear difference"
    told = (
        f"{verdict}: {between['value']:+.1%} in win-tie rate ({name} {low:+.1%} to {high:+.1%}), from "
        f"{before['win_tie_rate']:.1%} (v{between['from']}) to {after['win_tie_rate']:.1%} (v{between['to']}) on "
        f"{between['n']} test inputs"
    )
    return f"{told}{few if between['n'] < FEW else ''}"


def _figures(judged: Mapping[int, Mapping[str, Any]]) -> list[str]:
    """What else is said of the versions that are compared, each as `name v1 → v2`."""

    def both(label: str, values: Sequence[str]) -> str:
        return f"{label} {' → '.join(values)}"

    summaries = list(judged.values())
    lines = [
        both(name, [shown_score(one.get("scores", {}).get(name), share=share) for one in summaries])
        for name, share in score_columns(summaries).items()
    ]
    for label, key in (("length", "length_ratio"), ("distinct-2", "distinct_2")):
        if summaries and all(key in one for one in summaries):
            lines.append(both(label, [f"{one[key]:.2f}" for one in summaries]))
    return lines


def side_by_side(outputs: Mapping[Any, Sequence[JudgedOutput]], number: int, of: str) -> list[dict[str, Any]]:
    """What several said of the same inputs, those whose ids (hashes) come first: nobody has chosen them.

    Args:
        outputs: What each said.
        number: How many inputs, if so many were said something of by all.
        of: What each is called in what comes back.

    Returns:
        Of each input `input`, `teacher` (the text that the first was compared with) and `outputs`, each with its `of`,
        `text`, `outcome` and `dialogue`.
    """
    said = {version: {one.input_id: one for one in given} for version, given in outputs.items()}
    shared = set.intersection(*(set(of_version) for of_version in said.values())) if said else set[str]()
    found = []
    for name in sorted(shared)[:number]:
        of_input = {version: of_version[name] for version, of_version in said.items()}
        one = next(iter(of_input.values()))
        found.append(
            {
                "input": one.source,
                "teacher": one.reference,
                "outputs": [
                    {of: version, "text": out.text, "outcome": out.outcome, "dialogue": out.dialogue_id}
                    for version, out in of_input.items()
                ],
            }
        )
    return found
