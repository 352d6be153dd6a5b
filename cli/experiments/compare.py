"""`openmic compare`: runs beside each other."""

import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import typer

from ...core.errors import ConfigError
from ...core.text import escaped
from ...store import Store
from ...viewer.between_runs import MOST, compare_runs, curves
from ..options import PageFormatOption, PageJsonOption, PageOption, StoreOption, read_store
from .document import Block, Document, Drawing, Grid, Heading, Paragraph, html, markdown
from .experiment_document import NOTHING, SIMULATED, sample_blocks, shown
from .report import chosen_format, written


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN RUN...", help="Two runs or more: ids, beginnings of them, or `latest`."),
    ],
    form: PageFormatOption = None,
    out: PageOption = None,
    as_json: PageJsonOption = False,
    store: StoreOption = None,
) -> None:
    """Compare runs: what differs in their configuration, their curves, and what one gains over the other.

    Runs that differ in their seed alone are one group, and pooled. Gains are over the first one's group, paired by
    input on the test inputs that both were judged on, with intervals over inputs and seeds.

    \b
    Examples:
      openmic compare 01JD8Z 01JD9A
      openmic compare 01JD8Z 01JD9A 01JDB2 --json | jq .gains
      openmic compare 01JD8Z 01JD9A --out compared.html
    """
    wanted = chosen_format(form, out, as_json=as_json)
    with read_store(store) as reader:
        found = compared_runs(reader, runs)
    if wanted == "json":
        text = escaped(json.dumps(found, ensure_ascii=False, indent=2))
    else:
        document = compare_document(found)
        text = html(document) if wanted == "html" else markdown(document)
    written(text, out)


def compared_runs(reader: Store, names: Iterable[str]) -> dict[str, Any]:
    """What comparing the runs of these names comes to.

    Raises:
        ConfigError: fewer than two are named, one is named twice, or there are too many.
        NotFoundError: one is not there.
    """
    runs = [reader.resolve_run(name) for name in names]
    if len(runs) < 2:
        raise ConfigError(
            "compare takes two runs or more, such as `openmic compare 01JD8Z 01JD9A`; `openmic runs` lists"
        )
    if len(runs) > MOST:
        raise ConfigError(
            f"compare takes {MOST} runs at most, and {len(runs)} are named; for more there is an experiment"
        )
    met = set[str]()
    for run in runs:
        if run.id in met:
            raise ConfigError(f"run {run.id} is named twice; name it once")
        met.add(run.id)
    return compare_runs(reader, runs)


def compare_document(found: Mapping[str, Any]) -> Document:
    """Runs beside each other as a document; `found` as `compare_runs` gives it."""
    simulated = any(note.startswith("figures of the simulated cast") for note in found["notes"])
    document = Document("Runs compared", SIMULATED if simulated else "")
    rule = (
        "Of the test inputs that all were judged on, those whose hashes come first: nobody has chosen them. Of a group "
        "the first run that was judged."
    )
    samples = sample_blocks(found["samples"], "What they said", rule, "group", "")
    document.blocks.extend([*_gains(found), *_groups(found), *samples, *_differences(found)])
    return document


def gain_sentence(gain: Mapping[str, Any], confidence: float) -> str:
    """What one group gains over another, in a sentence."""
    low, high = gain["ci"]
    verdict = "better" if low > 0 else "worse" if high < 0 else "not clearly different"
    holm = "" if gain["p_corrected"] == gain["p"] else f", corrected {gain['p_corrected']:.3g}"
    return (
        f"{gain['of']} against {gain['over']}: {verdict}, {gain['value']:+.1%} in win-tie rate "
        f"({confidence * 100:g}% interval {low:+.1%} to {high:+.1%}; p {gain['p']:.3g}{holm}) "
        f"on {gain['inputs']} common test inputs"
    )


def _gains(found: Mapping[str, Any]) -> Iterable[Block]:
    for gain in found["gains"]:
        yield Paragraph(f"{gain_sentence(gain, found['confidence'])}.")
    for note in found["notes"]:
        yield Paragraph(f"note: {note}", quiet=True)


def _groups(found: Mapping[str, Any]) -> Iterable[Block]:
    yield Heading("Against the teacher")
    scorers = list(dict.fromkeys(name for group in found["groups"] for name in group["scores"]))
    rows = [
        [
            group["group"],
            ", ".join(f"{one['run']} ({one['name']}, {version_of(one)})" for one in group["runs"]),
            ", ".join(str(one["seed"]) for one in group["runs"]),
            str(group["inputs"]),
            shown(group["win_tie_rate"]),
            *(_figure(group["scores"].get(name)) for name in scorers),
            _figure(group["length_ratio"]),
            _figure(group["distinct_2"]),
        ]
        for group in found["groups"]
    ]
    yield Grid(["", "runs", "seeds", "inputs", "win-tie rate", *scorers, "length", "distinct-2"], rows, words=3)
    if (chart := curves(found)) is not None:
        yield Drawing(chart)
    versions = sorted({one["version"] for group in found["groups"] for one in group["curve"]})
    if versions:
        by_group = {group["group"]: {one["version"]: one for one in group["curve"]} for group in found["groups"]}
        rows = [[letter, *(shown(curve.get(version)) for version in versions)] for letter, curve in by_group.items()]
        yield Grid(["win-tie rate", *(f"v{version}" for version in versions)], rows)


def _differences(found: Mapping[str, Any]) -> Iterable[Block]:
    yield Heading("What differs in the configuration")
    alike = f"{found['alike']} keys are alike; seeds, names, folders and budgets are not compared."
    if not found["differences"]:
        yield Paragraph(f"Nothing: {alike}")
        return
    letters = [group["group"] for group in found["groups"]]
    rows = [
        [key, *(NOTHING if value is None else value for value in values)]
        for key, values in found["differences"].items()
    ]
    yield Grid(["key", *letters], rows, words=1 + len(letters))
    yield Paragraph(alike, quiet=True)


def version_of(run: Mapping[str, Any]) -> str:
    """Which adapter stands for a run, in words."""
    return "not judged" if run["version"] is None else f"v{run['version']}"


def _figure(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.2f}"
