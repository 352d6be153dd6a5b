"""What is said of one run: versions, curves, critic against judge, funnel, cost, samples, and where it comes from."""

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from ...core.records import Split
from ...evaluation.shown import score_columns, shown_rate, shown_score, undecided
from ...store import Run, Store
from ...store.search.judged import outputs_of
from ...viewer.charts import rate_chart
from ..funnel import funnel_lines
from ..report import cost_lines, failure_lines
from .document import Block, Code, Document, Drawing, Grid, Heading, Paragraph
from .experiment_document import NOTHING, SIMULATED, dev_rate, shown

SAMPLES = 6


def run_report(reader: Store, run: Run) -> dict[str, Any]:
    """All that a report on a run is made of, ready for JSON: what `openmic status --json` says, and more.

    `critic` has, of each version that the critic looked at beside the judge, its win-tie rate and by how much it is
    above the judge's; `dev` the evaluations on dev inputs.
    """
    from ...graph.report import evaluation_settings, run_status
    from ...store import Evaluation

    status, settings = run_status(reader, run, samples=SAMPLES), evaluation_settings(run)
    versions = [version["version"] for version in status["versions"] if "n" in version]
    outputs = {version: outputs_of(reader, run, version) for version in versions}
    from ...evaluation.arms.summary import arm_summary

    summaries = {version: arm_summary(said, settings, run.seed) for version, said in outputs.items() if said}
    beside = {
        version: {"critic": summary.as_json()["critic"], "critic_minus_judge": summary.as_json()["critic_minus_judge"]}
        for version, summary in summaries.items()
        if summary is not None and summary.critic is not None
    }
    dev = reader.select(Evaluation, run_id=run.id, split=Split.DEV, status="finished", order_by="adapter_version")
    return {
        **status,
        "critic": beside,
        "dev": [{"version": row.adapter_version, **row.summary} for row in dev],
        "config": run.config,
        "arguments": run.arguments,
        "commit": run.git_commit,
        "packages": run.packages,
    }


def run_document(found: Mapping[str, Any]) -> Document:
    """A report on a run; `found` is what `run_report` gives."""
    document = Document(f"Run {found['name']}", SIMULATED if found["cast"] == "simulated" else "")
    document.blocks.extend(
        [
            *_head(found),
            *_versions(found),
            *_curves(found),
            *_critic(found),
            *_funnel(found),
            *_cost(found),
            *_samples(found),
            *_provenance(found),
        ]
    )
    return document


def _head(found: Mapping[str, Any]) -> Iterable[Block]:
    yield Paragraph("; ".join([found["headline"]["sentence"], *found["headline"]["figures"]]) + ".")
    cast = ", ".join(f"{role} {name}" for role, name in found["models"].items())
    yield Paragraph(f"Run {found['run']}, {found['status']}; task {found['task']}, student {found['student']}; {cast}.")
    if found["error"]:
        yield Paragraph(f"It ended with: {found['error']}")
    for note in found["notes"]:
        yield Paragraph(f"note: {note}", quiet=True)


def _versions(found: Mapping[str, Any]) -> Iterable[Block]:
    judged = [version for version in found["versions"] if "n" in version]
    if not judged:  # which was said first of all
        return
    yield Heading("Against the teacher, on test inputs")
    scorers = score_columns(judged)
    headings = ["version", "stage", "decided", "inputs", "win", "tie", "loss", "win-tie rate", "interval"]
    headings += ["both orders agree", *scorers, "length ratio", "distinct-2"]
    rows = [
        [
            f"v{one['version']}",
            one["stage"],
            one["status"].replace("_", " "),
            *(str(one[name]) for name in ("n", "win", "tie", "loss")),
            shown_rate(one),
            NOTHING if undecided(one) else f"{one['ci'][0]:.1%} to {one['ci'][1]:.1%}",
            f"{one['consistency']:.1%}",
            *(shown_score(one["scores"].get(name), share=share) for name, share in scorers.items()),
            f"{one['length_ratio']:.2f}",
            f"{one['distinct_2']:.2f}",
        ]
        for one in judged
    ]
    yield Grid(headings, rows, words=3)


def _curves(found: Mapping[str, Any]) -> Iterable[Block]:
    judged = [version for version in found["versions"] if "n" in version and not undecided(version)]
    if judged:
        rates = [dev_rate(f"v{one['version']}", one) for one in judged]
        yield Drawing(rate_chart(rates, "Win-tie rate on test inputs", "version"))
    if found["dev"]:
        yield Heading("By version, on dev inputs")
        rates = [dev_rate(f"v{one['version']}", one) for one in found["dev"]]
        yield Drawing(rate_chart(rates, "Win-tie rate on dev inputs, which decide on promotion", "version"))
        rows = [
            [
                f"v{one['version']}",
                f"{one['win_tie_rate']:.1%} ({one['ci'][0]:.1%} to {one['ci'][1]:.1%})",
                str(one["n"]),
            ]
            for one in found["dev"]
        ]
        yield Grid(["version", "win-tie rate", "inputs"], rows)


def _critic(found: Mapping[str, Any]) -> Iterable[Block]:
    if not any("n" in version for version in found["versions"]):
        return
    yield Heading("Critic against judge")
    if not found["critic"]:
        yield Paragraph("The critic did not look at the test outputs (evaluation.critic).", quiet=True)
        return
    rows = [
        [f"v{version}", shown(one["critic"]), shown(one["critic_minus_judge"], signed=True)]
        for version, one in found["critic"].items()
    ]
    yield Grid(["version", "win-tie rate, critic", "critic minus judge"], rows)


def _funnel(found: Mapping[str, Any]) -> Iterable[Block]:
    lines = funnel_lines(found)
    if lines:
        yield Heading("What became of what was said")
        yield Grid(["", ""], [list(line) for line in lines], words=2)


def _cost(found: Mapping[str, Any]) -> Iterable[Block]:
    yield Heading("Cost and time")
    lines = [*cost_lines(dict(found)), *failure_lines(dict(found))]
    for line in lines or [f"No large model was asked; {found['cost']['minutes']:.1f} min of work."]:
        yield Paragraph(line)


def _samples(found: Mapping[str, Any]) -> Iterable[Block]:
    if not (samples := found["headline"]["samples"]):
        return
    yield Heading("Side by side")
    rule = found["headline"]["rule"]
    yield Paragraph(f"{rule[0].upper()}{rule[1:]}. How each fared before the judge stands in brackets.", quiet=True)
    rows = [
        [one["input"], *(f"{said['text']} [{said['outcome']}]" for said in one["outputs"]), one["teacher"]]
        for one in samples
    ]
    versions = [f"v{said['version']}" for said in samples[0]["outputs"]]
    yield Grid(["input", *versions, "teacher"], rows, words=len(versions) + 2)


def _provenance(found: Mapping[str, Any]) -> Iterable[Block]:
    yield Heading("Where this comes from")
    packages = ", ".join(f"{name} {version}" for name, version in found["packages"].items())
    yield Paragraph(
        f"Begun {found['created_at']}. Commit: {found['commit'] or 'no git checkout'}. Packages: {packages}."
    )
    if found["arguments"]:
        yield Code(f"openmic {' '.join(found['arguments'])}", "Command")
    yield Code(yaml.safe_dump(found["config"], allow_unicode=True, sort_keys=False), "Configuration, defaults included")
