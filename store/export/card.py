"""The data card of an export: what the rows are, how they came about, and what to mind."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from ..cast_notes import JUDGE_IS_CRITIC, simulated_seats
from ..liveness import LiveStatus
from ..tables.transcript import Run
from .forms import COLUMNS, Column, ExportForm

_WHAT: dict[ExportForm, str] = {
    "preference": "Preferences: a prompt, the answer that was preferred and the one that was not (TRL's conversational "
    "form, as its DPO trainer takes it).",
    "sft": "Texts to imitate, as conversations: the teacher's demonstrations, and texts that were preferred to others "
    "(`agent` and `kind` tell them apart).",
    "kto": "Answers that were preferred (`label` is true) or not, unpaired, as TRL's KTO trainer takes them.",
    "transcript": "Full transcripts: a row for each thing that was said, with the model, prompt, sampling, seed, "
    "adapter, tokens and raw reply behind it.",
}
_DTYPES = {"text": "string", "json": "string", "integer": "int64", "number": "float64", "boolean": "bool"}


def data_card(
    run: Run,
    form: ExportForm,
    kind: str,
    files: Mapping[str, tuple[str, int]],
    wanted: Mapping[str, Any],
    version: str,
    *,
    single: bool,
    standing: LiveStatus,
    revised: bool,
) -> str:
    """The card, in Markdown with the head that the Hugging Face hub and `datasets` read.

    Args:
        run: Where the rows are from.
        form: What they are.
        kind: What kind of files they are in.
        files: By split, the file's name and its rows.
        wanted: The filter they passed, by name.
        version: Of openmic.
        single: Whether all splits are in one file, which then has no configuration for `datasets` to find.
        standing: The run's status as it is.
        revised: Whether the student revised anything in the run.
    """
    head: dict[str, Any] = {
        "license": "unknown",
        "tags": ["openmic", form, *(["simulated"] if simulated_seats(run.cast) else [])],
    }
    if kind != "datasets" and not single:
        data_files = [{"split": split, "path": name} for split, (name, _) in files.items()]
        head["configs"] = [{"config_name": "default", "data_files": data_files}]
        head["dataset_info"] = {"features": _features(COLUMNS[form], flat=kind == "csv")}
    return (
        f"---\n{yaml.safe_dump(head, sort_keys=False)}---\n\n"
        + "\n\n".join(
            [
                f"# {form.capitalize()} data of the openmic run {run.id}",
                _WHAT[form],
                _facts(run, standing, files, wanted, version),
                _reading(kind, form),
                _minding(run, form, list(files), revised=revised),
            ]
        )
        + "\n"
    )


def _features(columns: Sequence[Column], *, flat: bool) -> list[dict[str, Any]]:
    return [
        # Every list is one of its own: YAML would write a shared one as an alias.
        {"name": column.name, "list": [{"name": name, "dtype": "string"} for name in ("role", "content")]}
        if column.kind == "messages" and not flat
        else {"name": column.name, "dtype": _DTYPES.get(column.kind, "string")}
        for column in columns
    ]


def _facts(
    run: Run, standing: LiveStatus, files: Mapping[str, tuple[str, int]], wanted: Mapping[str, Any], version: str
) -> str:
    models = {role: run.cast[role] for role in ("teacher", "critic", "jury", "judge") if run.cast.get(role)}
    student = run.config.get("student", {}).get("model", "unknown")
    lines = {
        "run": f"{run.id} ({run.name}), task {run.task}, {run.kind}, {standing}, begun {run.created_at:%Y-%m-%d}",
        "student": student,
        **{role: ", ".join(model) if isinstance(model, list) else model for role, model in models.items()},
        "rows": ", ".join(f"{count} {split} (`{name}`)" for split, (name, count) in files.items()) or "none",
        "only": ", ".join(f"{name} {value}" for name, value in wanted.items()) or "all dialogues",
        "seed": run.seed,
        "configuration": f"SHA-256 {run.config_hash}; commit {run.git_commit or 'unknown'}",
        "exported by": f"openmic {version}",
    }
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {_cell(value)} |" for name, value in lines.items())])


def _cell(value: Any) -> str:
    return " ".join(str(value).replace("|", "\\|").replace("<", "&lt;").split())


def _reading(kind: str, form: ExportForm) -> str:
    how = {
        "jsonl": '`datasets.load_dataset("FOLDER")`, or a JSON object on each line.',
        "csv": '`datasets.load_dataset("FOLDER")`; a list of messages is one cell of JSON. Texts stand in quotes; a '
        "cell with nothing in it, not even quotes, means none.",
        "parquet": '`datasets.load_dataset("FOLDER")`, pandas, DuckDB and others.',
        "datasets": '`datasets.load_from_disk("FOLDER")`.',
    }[kind]
    more = " `sampling`, `messages`, `raw` and `tags` are JSON in text." if form == "transcript" else ""
    return f"**Reading it.** {how}{more}"


def _how(run: Run, form: ExportForm, *, revised: bool) -> str:
    """How the rows came about in this run."""
    steps = ["A student drafted texts for literal inputs; a critic compared them in both orders"]
    if revised:
        steps.append("it wrote critiques, and the student revised")
    if run.config.get("dialogue", {}).get("teacher_fallback"):
        steps.append("where the student did not get there, a teacher demonstrated")
    made = (
        f"**How it was made.** {'; '.join(steps)}. A preference is made where both orders agree and the outcome is no "
        "tie; one of source `teacher`, the teacher's text over the student's last, has no verdict behind it."
    )
    if form == "transcript":
        return made
    return (
        f"{made} Not all of it was trained on: `learned_by` is the first version of the run's adapter that learned "
        "from a row, and empty where none did."
    )


def _minding(run: Run, form: ExportForm, splits: Sequence[str], *, revised: bool) -> str:
    parts = [
        _how(run, form, revised=revised),
        "**Mind.** Most texts were written by models, and may be wrong, unfunny or offensive. Their licence is not for "
        "openmic to give: the terms of those who provide the models, and the rights in the inputs, apply.",
    ]
    if run.cast.get("simulated"):
        parts.append(
            "**Simulated.** The large models were openmic's simulated cast: programs that follow a rubric. Its labels "
            "and texts show that the loop works; they say nothing about humor, and no model should be judged by them."
        )
    elif simulated := simulated_seats(run.cast):
        parts.append(
            f"**Simulated.** Of the cast, {', '.join(simulated)} were openmic's simulated models: programs that follow "
            "a rubric. What they wrote and judged shows that the loop works, not how good anything is."
        )
    if run.cast.get("judge_is_critic"):
        parts.append(f"**Judge.** In this run {JUDGE_IS_CRITIC}.")
    if held_out := [split for split in splits if split != "train"]:
        parts.append(
            f"**Held out.** The split{'s' if len(held_out) > 1 else ''} {', '.join(held_out)} "
            "held out from training in this run; a model trained on them cannot be evaluated on them."
        )
    return "\n\n".join(parts)
