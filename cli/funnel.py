"""Funnel of the dialogues in lines: each says how many there were and what became of the rest."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..core.text import printable


def print_funnel(console: Console, status: dict[str, Any]) -> None:
    """The funnel of every gate and filter and how the critic judged; nothing where nothing was said."""
    lines = funnel_lines(status)
    if not lines:
        return
    console.print("funnel:")
    if not console.is_terminal:
        for name, text in lines:
            console.print(Text(printable(f"  {name:<12} {text}")))
        return
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column(no_wrap=True, min_width=14)
    table.add_column()
    for name, text in lines:
        table.add_row(Text(printable(f"  {name}")), Text(printable(text)))
    console.print(table)


def funnel_lines(status: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is counted, each line with its name; nothing where nothing was said."""
    return [*_lines(status["funnel"]), *_critic(status["verdicts"])]


def _lines(funnel: Mapping[str, Any]) -> list[tuple[str, str]]:
    lines = []
    drafts, dialogues, revisions = funnel["drafts"], funnel["dialogues"], funnel["revisions"]
    written = funnel["demonstrations"]
    if written["made"]:
        lines.append(("teacher", f"{written['made']} -> {written['valid']} valid{_listed(written['rejected'])}"))
    if drafts["made"]:
        lost = {**drafts["rejected"], "duplicate": drafts["duplicates"]}
        lines.append(("drafts", f"{drafts['made']} -> {drafts['valid']} valid{_listed(lost)}"))
    if dialogues["drafted"]:
        lost = {
            "no valid draft": dialogues["no_valid_draft"],
            "one valid draft": dialogues["one_valid_draft"],
            "no two of similar length": dialogues["no_similar_length"],
        }
        paired = dialogues["drafted"] - sum(lost.values())
        lines.append(("dialogues", f"{dialogues['drafted']} -> {paired} with a pair{_listed(lost)}"))
    if revisions["made"]:
        lost = {**revisions["rejected"], "unchanged": revisions["unchanged"]}
        lines.append(("revisions", f"{revisions['made']} -> {revisions['accepted']} accepted{_listed(lost)}"))
    # Not every preference was compared: the teacher's text over the student's has no verdict, and a run that trains on
    # another's transcripts compares nothing itself.
    compared, preferred = funnel["comparisons"], funnel["preferences"]
    return lines + [
        (source.replace("_", " "), _of_source(compared.get(source), preferred.get(source)))
        for source in sorted({*compared, *preferred})
    ]


def _of_source(compared: Mapping[str, int] | None, preferred: Mapping[str, int] | None) -> str:
    steps = []
    if compared is not None:
        lost = {"tie": compared["ties"], "order-inconsistent": compared["inconsistent"]}
        steps.append(f"{compared['made']} compared{_listed(lost)}")
    if preferred is not None:
        lost = {
            "outside the length filter": preferred["outside_length"],
            "too stale": preferred["too_stale"],
            "too long to train on": preferred["too_long"],
            "switched off": preferred["switched_off"],
        }
        steps.append(f"{preferred['made']} preferred{_listed(lost)}")
        steps.append(f"{preferred['trained_on']} trained on")
    return " -> ".join(steps)


def _critic(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    if not facts["count"]:
        return []
    bias = facts["position_bias"]
    return [
        (
            "critic",
            f"{facts['count']} verdicts, both orders agree in {facts['consistency']:.1%} ({bias['first']:.1%} go to "
            f"the text shown first, {bias['second']:.1%} to the second), mean margin {facts['margin']:.2f}",
        )
    ]


def _listed(lost: Mapping[str, int]) -> str:
    parts = [f"{number} {why}" for why, number in lost.items() if number]
    return f" ({', '.join(parts)})" if parts else ""
