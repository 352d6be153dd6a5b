"""How every benchmark prints what it found: a table for a person, and with `--json` one line for a program at the end.

It measures nothing. A benchmark is a script; `python benchmarks/NAME.py --help` says what it takes.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Literal

from rich.console import Console
from rich.table import Table

Cell = str | int | float


def arguments(description: str) -> argparse.ArgumentParser:
    """A parser with the options that all benchmarks have: `--json`, and `--quick` for a trial of the script itself."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="end with one line: the result as a JSON object")
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes; the figures mean nothing")
    return parser


def report(
    name: str,
    value: float,
    unit: str,
    *,
    target: float,
    rows: Sequence[Mapping[str, Cell]],
    parts: Mapping[str, object],
    as_json: bool,
    better: Literal["more", "less"] = "more",
    met: bool | None = None,
) -> None:
    """Print a benchmark's result.

    Args:
        name: The benchmark's.
        value: What it found.
        unit: Of value and target.
        target: What is to be reached.
        rows: The table's, each with the same columns.
        parts: What the value was made from.
        as_json: Whether a line of JSON follows the table.
        better: Whether the target is a least or a most.
        met: Whether the target was reached, where that is more than a comparison.
    """
    if met is None:
        met = value >= target if better == "more" else value <= target
    table = Table(title=name)
    for column in rows[0]:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*(_text(cell) for cell in row.values()))
    console = Console(width=max(100, Console().width))
    console.print(table)
    sign = "at least" if better == "more" else "at most"
    verdict = "met" if met else "missed"
    console.print(f"{name}: {_text(value)} {unit}, to be {sign} {_text(target)}: {verdict}", highlight=False)
    if as_json:
        result = {"name": name, "value": value, "unit": unit, "target": target, "met": met, "parts": dict(parts)}
        sys.stdout.write(json.dumps(result) + "\n")


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _text(cell: Cell) -> str:
    if not isinstance(cell, float):
        return str(cell)
    return f"{cell:.3g}" if abs(cell) < 100 else f"{cell:,.0f}"
