"""What is said of an experiment: its table in three parts, what failed, samples, where it comes from."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ...viewer.charts import Rate, rate_chart
from .document import Block, Code, Document, Drawing, Grid, Heading, Paragraph

NOTHING = "\N{EN DASH}"
NAMED_MARKS = 8
"""Arms whose names stand beneath a drawing; more of them are numbered, for names would lie over each other."""
SIMULATED = "simulated cast"
"""What stands beside every heading where all large models were simulated."""


def experiment_document(found: Mapping[str, Any], samples: Sequence[Mapping[str, Any]] = ()) -> Document:
    """A report on an experiment.

    Args:
        found: As `experiment_results` gives it.
        samples: As `sampled_outputs` gives them.
    """
    document = Document(f"Experiment {found['experiment']}", SIMULATED if found["cast"] == "simulated" else "")
    rule = (
        "The outputs of the first seed. Of the test inputs that all these arms were judged on, those whose hashes come "
        "first: nobody has chosen them."
    )
    document.blocks.extend(
        [
            *_head(found),
            *_failures(found),
            *_judged(found),
            *_texts(found),
            *_taken(found),
            *_rounds(found),
            *sample_blocks(samples, "Samples", rule, "arm", "arm"),
            *_provenance(found),
        ]
    )
    return document


def table_document(found: Mapping[str, Any]) -> Document:
    """The table alone, as it is printed when an experiment ends."""
    document = Document(f"Experiment {found['experiment']}", SIMULATED if found["cast"] == "simulated" else "")
    document.blocks.extend([*_head(found), *_failures(found), *_judged(found), *_texts(found), *_taken(found)])
    return document


def _head(found: Mapping[str, Any]) -> Iterable[Block]:
    if found["about"]:
        yield Paragraph(found["about"])
    cast = ", ".join(f"{role} {name}" for role, name in found["models"].items())
    seeds = ", ".join(map(str, found["seeds"]))
    yield Paragraph(
        f"Student {found['student']}, task {found['task']}; {cast or 'nobody was asked yet'}. "
        f"{found['test_inputs']} test inputs, seeds {seeds}. Every comparison is with the teacher's text, in both "
        f"orders. Intervals are of {found['confidence']:.0%}, over inputs and seeds."
    )
    if found["cast"] == "simulated":
        yield Paragraph(
            "The large models were simulated by word lists and rules: these figures show how methods compare where the "
            "truth is known, and say nothing about how funny anything is.",
            quiet=True,
        )
    for note in found["notes"]:
        yield Paragraph(f"note: {note}", quiet=True)


def _failures(found: Mapping[str, Any]) -> Iterable[Block]:
    if found["failed"]:
        yield Heading("Not done")
        rows = [[one["arm"], str(one["seed"]), one["error"], one["run"] or NOTHING] for one in found["failed"]]
        yield Grid(["arm", "seed", "why", "run"], rows, words=4)


def _judged(found: Mapping[str, Any]) -> Iterable[Block]:
    yield Heading("Against the teacher")
    headings = [
        *("arm", "seeds", "win", "tie", "loss", "win-tie rate, judge", "win-tie rate, critic", "critic minus judge"),
        *(f"gain over {found['baseline']}", "p (Holm)", "win rate at equal length"),
    ]
    rows = []
    for row in found["arms"]:
        judge = row["judge"]
        seeds = f"{len(row['seeds_done'])} of {len(found['seeds'])}"
        if judge is None:
            rows.append([row["arm"], seeds, *[NOTHING] * (len(headings) - 2)])
            continue
        rows.append(
            [
                row["arm"],
                seeds,
                *(str(judge[name]) for name in ("win", "tie", "loss")),
                shown(judge["win_tie_rate"]),
                shown(judge["critic"]),
                shown(judge["critic_minus_judge"], signed=True),
                *_gain(row, found),
                shown(judge["length_controlled"]),
            ]
        )
    yield Grid(headings, rows)
    done = [row for row in found["arms"] if row["judge"] is not None]
    if done:
        few = len(done) <= NAMED_MARKS
        names = [row["arm"] if few else str(place) for place, row in enumerate(done, start=1)]
        rates = [_rate(name, row["judge"]["win_tie_rate"]) for name, row in zip(names, done, strict=True)]
        axis = "arm" if few else "arm, by its place in the table"
        yield Drawing(rate_chart(rates, "Win-tie rate by the judge", axis))
    yield Paragraph(
        "In per cent. Win-tie rate: share of test inputs on which the output is judged better than the teacher's text "
        "or equal. "
        f"Gains over {found['baseline']} are paired by input and seed; p is corrected for their number by Holm's "
        "procedure, and * marks a difference that is clear. Critic minus judge: by how much the critic, which trained "
        "the student, rates an arm above the independent judge.",
        quiet=True,
    )


def _gain(row: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    if row["arm"] == found["baseline"]:
        return ["baseline", NOTHING]
    gain = row["gain"]
    if gain is None:
        return [NOTHING, NOTHING]
    star = "*" if gain["clear"] else ""
    return [f"{shown(gain, signed=True)}{star}", f"{gain['p_corrected']:.3g}"]


def _texts(found: Mapping[str, Any]) -> Iterable[Block]:
    done = [row for row in found["arms"] if row["texts"] is not None]
    if not done:
        return
    scorers = list(dict.fromkeys(name for row in done for name in row["texts"]["scores"]))
    yield Heading("The texts")
    names = [
        ("length ratio", "length_ratio"),
        ("distinct-2", "distinct_2"),
        ("unique endings", "unique_endings"),
        ("self-BLEU", "self_bleu"),
        ("faithfulness", "faithfulness"),
        ("copies of the input", "copies"),
        ("novelty", "novelty"),
        ("known by heart", "known"),
    ]
    rows = []
    for row in done:
        texts = row["texts"]
        rows.append(
            [
                row["arm"],
                *(_number(texts[key]) for _, key in names),
                *(_number(texts["scores"].get(name)) for name in scorers),
            ]
        )
    yield Grid(["arm", *(name for name, _ in names), *scorers], rows)
    yield Paragraph(
        "Length ratio: words over words of the input. Distinct-2, unique endings and self-BLEU are of all outputs of a "
        "seed together. Faithfulness: share of the input's content words that are said too. Novelty: share of 4-grams "
        "that nothing the student was trained on has; known by heart: outputs that were trained on word by word.",
        quiet=True,
    )


def _taken(found: Mapping[str, Any]) -> Iterable[Block]:
    done = [row for row in found["arms"] if row["cost"] is not None]
    if not done:
        return
    yield Heading("What it took")
    rows = []
    for row in done:
        trained, cost = row["trained"], row["cost"]
        rows.append(
            [
                row["arm"],
                NOTHING if trained is None else ", ".join(trained["objectives"]) + _control(trained),
                NOTHING if trained is None else f"{trained['examples']:.0f}",
                NOTHING if trained is None else f"{trained['steps']:.0f}",
                f"{cost['replies']:,.0f}",
                f"{cost['tokens']:,.0f}",
                f"{cost['written']:,.0f}",
                f"{row['minutes']:.1f}",
            ]
        )
    headings = ["arm", "last training", "examples", "steps", "replies", "tokens", "student's tokens", "minutes"]
    yield Grid(headings, rows, words=2)
    yield Paragraph(
        "By seed on average, as if each arm stood alone: replies and tokens of teacher and critic, without references "
        "and the judge; tokens that the student wrote in dialogues, and where the best of several is chosen in the "
        "evaluation. Minutes are of all seeds together, without what was taken over from other arms; "
        f"{found['minutes']:.1f} in all.",
        quiet=True,
    )


def _control(trained: Mapping[str, Any]) -> str:
    controls = [labels for labels in trained["labels"] if labels != "critic"]
    return f" ({', '.join(controls)} labels: a control)" if controls else ""


def _rounds(found: Mapping[str, Any]) -> Iterable[Block]:
    several = [row for row in found["arms"] if len(row["dev"]) > 1]
    if not several:
        return
    yield Heading("By round, on dev inputs")
    for row in several:
        names = [f"seed {one['seed']} v{one['version']}" for one in row["dev"]]
        rates = [dev_rate(name, one) for name, one in zip(names, row["dev"], strict=True)]
        yield Drawing(rate_chart(rates, f"{row['arm']}: win-tie rate on dev inputs", "version"))
        lines = [
            [row["arm"], str(one["seed"]), f"v{one['version']}", one["status"], rated(one), str(one["n"])]
            for one in row["dev"]
        ]
        yield Grid(["arm", "seed", "version", "decided", "win-tie rate", "inputs"], lines, words=4)


def dev_rate(name: str, one: Mapping[str, Any]) -> Rate:
    """A version's win-tie rate with its interval."""
    low, high = one["ci"]
    return Rate(name, one["win_tie_rate"], low, high, "judge")


def rated(one: Mapping[str, Any]) -> str:
    """A version's win-tie rate with its interval, in per cent."""
    return f"{one['win_tie_rate']:.1%} ({one['ci'][0]:.1%} to {one['ci'][1]:.1%})"


def sample_blocks(
    samples: Sequence[Mapping[str, Any]], title: str, rule: str, of: str, heading: str
) -> Iterable[Block]:
    """What several said of the same inputs, with the teacher's text first; nothing where there are no inputs.

    Args:
        samples: As `side_by_side` gives them.
        title: The section's.
        rule: Which inputs these are.
        of: What `side_by_side` calls whoever said something.
        heading: What the column of their names is headed by.
    """
    if not samples:
        return
    yield Heading(title)
    yield Paragraph(rule)
    for sample in samples:
        said = [[one[of], one["text"], one["outcome"]] for one in sample["outputs"]]
        yield Paragraph(f"Input: {sample['input']}")
        yield Grid([heading, "output", "before the judge"], [["teacher", sample["teacher"], NOTHING], *said], words=3)


def _provenance(found: Mapping[str, Any]) -> Iterable[Block]:
    yield Heading("Where this comes from")
    commits = ", ".join(found["commits"]) or "no git checkout"
    packages = ", ".join(f"{name} {'/'.join(versions)}" for name, versions in found["packages"].items())
    yield Paragraph(f"Commit: {commits}. Packages: {packages}.")
    rows = [
        [row["arm"], str(seed), run, f"v{row['versions'].get(seed, '?')}"]
        for row in found["arms"]
        for seed, run in row["runs"].items()
    ]
    yield Grid(["arm", "seed", "run", "version"], rows, words=4)
    spec = {name: value for name, value in found["spec"].items() if name != "cells"}
    if spec.get("file"):  # where it lies is for its owner; a report is sent to others
        spec["file"] = Path(spec["file"]).name
    yield Code(yaml.safe_dump(spec, allow_unicode=True, sort_keys=False), "The experiment's file, as it was read")


def shown(interval: Mapping[str, Any] | None, *, signed: bool = False) -> str:
    """A rate with its interval, in per cent."""
    if interval is None:
        return NOTHING
    form = "{:+.1f}" if signed else "{:.1f}"
    value, low, high = (form.format(100 * one) for one in (interval["value"], *interval["ci"]))
    return f"{value} ({low} to {high})"


def _number(measured: Mapping[str, Any] | None) -> str:
    """A measure as a number, with its interval if it has one."""
    if measured is None:
        return NOTHING
    if "ci" not in measured:
        return f"{measured['value']:.2f}"
    return f"{measured['value']:.2f} ({measured['ci'][0]:.2f} to {measured['ci'][1]:.2f})"


def _rate(name: str, interval: Mapping[str, Any]) -> Rate:
    low, high = interval["ci"]
    return Rate(name, interval["value"], low, high, "judge")
