"""The table that a run ends with."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ..core.text import printable, printable_in
from ..evaluation.shown import score_columns, shown_rate, shown_score, shown_share, undecided
from ..store import told_failures
from .funnel import print_funnel
from .options import store_flag
from .transcripts.lines import cut_in_the_middle, one_line

FILE_WIDTH = 120
"""Columns where there is no terminal to ask for its width."""
_UNLIMITED = 10_000
LONGEST_SAMPLE = 360
"""Columns of a text that stands beside others; of a longer one the middle is left out."""


def report_console(*, soft_wrap: bool = True, file_width: int = FILE_WIDTH) -> Console:
    """Stdout, wide enough for the tables where it is a file or a pipe."""
    console = Console(soft_wrap=soft_wrap, highlight=False)
    return console if console.is_terminal else Console(soft_wrap=soft_wrap, highlight=False, width=file_width)


def wrapping_console() -> Console:
    """Stdout for sentences: a terminal's lines are broken between words, a file's by whoever reads it."""
    console = report_console()
    return report_console(soft_wrap=False) if console.is_terminal else console


def print_report(status: dict[str, Any], *, funnel: bool = False) -> None:
    """The sentence that matters, one row per adapter version, samples, and what the dialogues came to; on stdout.

    Args:
        status: As `run_status` gives it.
        funnel: Whether the funnel of every gate and filter follows, which tells more of what the teacher wrote.
    """
    console, status = wrapping_console(), printable_in(status)
    if status["source_run"] is not None:
        console.print(f"from run {escape(status['source_run'])}")
    if status["versions"]:
        print_headline(console, status["headline"])
    if left_out := status["duplicate_inputs"]:
        console.print(f"inputs: {left_out} left out that stood in the file before")
    if status["versions"]:
        _print_versions(console, status)
    _print_samples(console, status["headline"])
    dialogues, revisions = status["dialogues"], status["revisions"]
    console.print(
        f"dialogues: {dialogues['finished']} finished, {dialogues['failed']} failed, {dialogues['pending']} pending; "
        f"{revisions} with a revision; {status['turns']} turns in all"
    )
    for line in (*failure_lines(status), *cost_lines(status), *tracker_lines(status)):
        console.print(escape(line))
    for agent, sampled in status["sampled_labels"].items():
        console.print(
            f"the {agent}'s labels of {sampled['comparisons']} comparisons were sampled, since log-probabilities were "
            f"missing or too little of them was of 1 and 2; that took {sampled['extra_calls']} more calls "
            "(verdict.samples)"
        )
    for line in (*([] if funnel else _turned_away(status)), *_unanswered(status)):
        console.print(escape(printable(line)))
    if status["versions"]:
        console.print("[dim]length: words of the output over words of the input[/]")
    for note in status["notes"]:
        console.print(f"[dim]note: {escape(printable(note))}[/]")
    if status["little_learned"]:
        console.print(f"[bold]{escape(printable(status['little_learned']))}[/]")
    if funnel or status["little_learned"]:
        print_funnel(console, status)


def print_headline(console: Console, headline: dict[str, Any]) -> None:
    """The sentence that matters first, and the figures that belong to it."""
    console.print(f"[bold]{escape(headline['sentence'])}[/]")
    if headline["figures"]:
        console.print(escape("; ".join(headline["figures"])))


def _print_samples(console: Console, headline: dict[str, Any]) -> None:
    """Inputs with what each version and the teacher made of them."""
    if not headline["samples"]:
        return
    console.print(f"\n[bold]Side by side[/] [dim]({escape(headline['rule'])})[/]")
    for sample in headline["samples"]:
        table = Table(box=None, pad_edge=False, show_header=False, width=min(console.width, FILE_WIDTH))
        table.add_column(no_wrap=True, min_width=len("teacher"), style="dim")
        table.add_column(ratio=1, overflow="fold")
        table.add_row("input", _sampled(sample["input"]))
        for output in sample["outputs"]:
            table.add_row(f"v{output['version']} {output['outcome']}", _sampled(output["text"]))
        table.add_row("teacher", _sampled(sample["teacher"]))
        console.print(table)
        console.print()


def _sampled(text: str) -> Text:
    return Text(cut_in_the_middle(one_line(text), LONGEST_SAMPLE) or "(nothing)")


def failure_lines(status: dict[str, Any]) -> list[str]:
    """What failed of what for which reason, and how many for reasons that are not told."""
    told, others = told_failures(status["failures"])
    lines = [
        f"{failure['count']} of {sum(status['stages'][failure['stage']].values())} failed in {failure['stage']}: "
        f"{printable(failure['error'])}"
        for failure in told
    ]
    return [*lines, f"{others} more failed for other reasons"] if others else lines


def tracker_lines(status: dict[str, Any]) -> list[str]:
    """Where each experiment tracker has the run, and what it does not have."""
    lines = []
    for name, sent in status["trackers"].items():
        line = f"{name}: {_counted(sent['figures'], 'figure')} sent" + (f" to {sent['where']}" if sent["where"] else "")
        if sent["failures"]:
            line += f"; {_counted(sent['failures'], 'attempt')} failed"
        if sent["error"]:
            line += f", the last one: {sent['error']}"
        lines.append(line)
    return lines


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def cost_lines(status: dict[str, Any]) -> list[str]:
    """What large models took, by role and in all, beside the budget; nothing where none was asked."""
    cost = status["cost"]
    lines = _taken_over(status["taken_over"])
    if not cost["calls"]:
        return lines
    roles = [
        f"{role} {used['input_tokens'] + used['output_tokens']:,} tokens of {used['calls']:,} replies"
        + _dollars(used["usd"], cost)
        for role, used in status["llm"].items()
        if used["calls"]
    ]
    whole = f"in all {cost['tokens']:,} tokens{_dollars(cost['usd'], cost)}, {cost['minutes']:.1f} min"
    lines.append(f"spent: {'; '.join([*roles, whole])}")
    if (before := cost["estimate"]) is not None:
        told = (
            f"{name} {kind['input_tokens'] + kind['output_tokens']:,} tokens of {kind['calls']:,} replies"
            + _dollars(kind["usd"], cost)
            for name, kind in (("likely", before["likely"]), ("at most", before["at_most"]))
        )
        time = "" if (least := cost["foreseen_minutes"]) is None else f", in {least:.1f} min or more"
        lines.append(f"estimated beforehand: {', '.join(told)}{time}")
    if batched := sum(used["batched"] for used in status["llm"].values()):
        lines.append(f"{batched:,} of the replies came in batches, at half the price")
    if estimated := sum(used["estimated"] for used in status["llm"].values()):
        lines.append(
            f"tokens of {estimated:,} replies are estimated, by four characters each: their endpoint counted none"
        )
    if cost["usd"]:
        lines.append(f"prices: {'; '.join(cost['prices'])}")
    for model, why in cost["unpriced"].items():
        lines.append(f"what {printable(model)} charges is not known: {printable(why)}")
    if cost["budget"]:
        limits = (f"{name} {limit:,.10g}" for name, limit in cost["budget"].items())
        lines.append(f"budget: {', '.join(limits)}")
    return lines


def _taken_over(taken: dict[str, Any] | None) -> list[str]:
    if taken is None:
        return []
    if taken["run"] is None and not (taken["replies"] or taken["texts"] or taken["adapters"]):
        return []
    names = (
        f"run {taken['run']}" if taken["run"] else "",
        "the experiment's other runs" if taken["experiment"] else "",
    )
    source = " and ".join(name for name in names if name)
    return [
        f"taken over from {source}, and not paid for again: {taken['replies']:,} replies, {taken['texts']:,} "
        f"of the student's texts, {taken['adapters']} adapters"
    ]


def _dollars(amount: float | None, cost: dict[str, Any]) -> str:
    """So many dollars; nothing where nothing costs any, or nobody knows."""
    return f" (${amount:,.4f})" if amount and cost["prices"] else ""


def _turned_away(status: dict[str, Any]) -> list[str]:
    """What the teacher wrote that was no answer; nothing where all of it was."""
    written = status["funnel"]["demonstrations"]
    lost = [f"{number} {reason}" for reason, number in written["rejected"].items()]
    left_out = written["made"] - written["valid"]
    return [f"teacher: {left_out} of {written['made']} texts were turned away: {', '.join(lost)}"] if lost else []


def _unanswered(status: dict[str, Any]) -> list[str]:
    """How often critic and judge did not answer the question, where they did not."""
    advice = "name a larger model" + (", or set verdict.style to reason" if status["verdict_style"] == "label" else "")
    return [
        f"the {agent} did not answer the question in {shown_share(share)} of comparisons (it wanted to say something "
        f"else than 1 or 2): {advice}"
        for agent, share in status["verdicts"]["unanswered"].items()
        if share
    ]


def _print_versions(console: Console, status: dict[str, Any]) -> None:
    cast = "simulated cast" if status["cast"] == "simulated" else f"judge {status['models'].get('judge', 'unknown')}"
    judged = [version for version in status["versions"] if "n" in version]
    console.print(f"\n[bold]Student against teacher, {escape(cast)}[/] ({_inputs(judged)})")
    scorers = score_columns(judged)
    table = _table(status, scorers)
    unlimited = console.options.update(max_width=_UNLIMITED)
    wide = console.measure(table, options=unlimited).maximum > console.width
    if scorers and wide and not console.is_terminal:
        console.print(_table(status, {}))
        table = _scores(status, scorers)
    if console.is_terminal and console.measure(table, options=unlimited).maximum > console.width:
        for version in status["versions"]:
            console.print(escape(_in_words(version, scorers)))
    else:
        console.print(table)
    for version in status["versions"]:
        if "judged" in version:
            console.print(
                f"v{version['version']} is not judged to the end: {version['judged']} of {version['of']} held-out "
                "inputs so far; figures come when all are"
            )
        for name, number in version.get("unscored", {}).items():
            console.print(
                f"v{version['version']}: {number} of {version['n']} have no score of {escape(printable(name))}"
            )
        if version["status"] == "rolled_back" and version["reason"]:
            console.print(f"v{version['version']} was rolled back: {escape(version['reason'])}")
        if version["left_out"]:
            left, learned = version["left_out"], version["examples"]
            console.print(
                f"v{version['version']} learned from {learned} of {learned + left} examples: {left} left out, "
                f"{version['left_out_why']}"
            )
        if any(lag != "0" for lag in version["staleness"]):
            console.print(f"v{version['version']} was trained on {_staleness(version['staleness'])}")


def _inputs(judged: Sequence[dict[str, Any]]) -> str:
    """On how many inputs the versions were judged, of how many that were to be."""
    if not judged:
        return "not evaluated yet"
    numbers, wanted = sorted({version["n"] for version in judged}), max(version["of"] for version in judged)
    shown = str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
    of = "" if numbers[0] >= wanted else f" of {wanted}"
    return f"{shown}{of} held-out inputs, both orders"


def _table(status: dict[str, Any], scorers: dict[str, bool]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("version", "stage"):
        table.add_column(heading)
    for heading in ("win", "tie", "loss", "win-tie rate", _interval(status), *scorers, "length", "distinct-2"):
        table.add_column(escape(printable(heading)), justify="right")
    table.add_column("")
    for version in status["versions"]:
        table.add_row(*_row(version, scorers))
    return table


def _in_words(version: dict[str, Any], scorers: dict[str, bool]) -> str:
    """A row of the table as a sentence, where the table is too wide for the terminal."""
    name, stage, win, tie, loss, rate, interval, *others = _row(version, scorers)
    *figures, state = others
    if "n" not in version:
        return f"{name}, {stage}: not judged{f', {state}' if state else ''}"
    told = [f"{label} {figure}" for label, figure in zip([*scorers, "length", "distinct-2"], figures, strict=True)]
    counts = f"{win} won, {tie} tied, {loss} lost"
    return printable(
        f"{name}, {stage}: {rate} ({interval}), {counts}; {', '.join(told)}{f'; {state}' if state else ''}"
    )


def _scores(status: dict[str, Any], scorers: dict[str, bool]) -> Table:
    """The scorers' columns in a table of their own, where one table would be too wide."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("version")
    for name in scorers:
        table.add_column(escape(printable(name)), justify="right", overflow="fold")
    for version in status["versions"]:
        table.add_row(f"v{version['version']}", *_means(version, scorers))
    return table


def _means(version: dict[str, Any], scorers: dict[str, bool]) -> list[str]:
    means = version.get("scores", {})
    return [shown_score(means.get(scorer), share=share) for scorer, share in scorers.items()]


def _staleness(histogram: dict[str, int]) -> str:
    """How many preferences were by how stale a student."""
    first, *rest = histogram.items()
    parts = [f"{first[1]} preferences of {_writer(first[0])}", *(f"{number} of {_writer(lag)}" for lag, number in rest)]
    return ", ".join(parts)


def _writer(lag: str) -> str:
    return "the version that served" if lag == "0" else f"{lag} before it"


def print_next_steps(status: dict[str, Any], url: str) -> None:
    """Where everything is, and three commands to try."""
    console, status = report_console(), printable_in(status)
    flag = store_flag(url)
    console.print(
        f"\nstore    {escape(status['store'])}\nadapter  {escape(str(status['adapter_path']))}", highlight=False
    )
    run = status["run"]
    console.print(
        "\ntry next:\n"
        f"  openmic transcripts list {run}{flag}\n"
        f"  openmic transcripts show latest{flag}\n"
        f'  openmic chat --run {run}{flag} "The kettle broke again."',
        markup=False,
    )


def _interval(status: dict[str, Any]) -> str:
    return f"{status['confidence'] * 100:g}% interval"


def _row(version: dict[str, Any], scorers: dict[str, bool]) -> list[str]:
    name = [f"v{version['version']}", version["stage"]]
    state = "" if version["promoted"] else version["status"].replace("_", " ")
    if "n" not in version:
        return [*name, *["-"] * (7 + len(scorers)), state]
    low, high = version["ci"]
    return [
        *name,
        str(version["win"]),
        str(version["tie"]),
        str(version["loss"]),
        shown_rate(version),
        "-" if undecided(version) else f"{low:.1%} to {high:.1%}",
        *_means(version, scorers),
        f"{version['length_ratio']:.2f}",
        f"{version['distinct_2']:.2f}",
        state,
    ]
