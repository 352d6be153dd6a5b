"""`openmic report`: one page about a run or an experiment, to send to somebody."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ...core.config import store_address
from ...core.errors import ConfigError, NotFoundError, told_of_disk
from ...core.files.private import private_file, private_folder
from ...core.text import escaped, printable
from ...store import ExperimentRow, Run, Store
from ..options import (
    PageFormatOption,
    PageJsonOption,
    PageOption,
    StoreOption,
    home_expanded,
    print_json,
    read_store,
)
from ..progress import stdout_for_data
from ..report import tracker_lines
from .document import Document, html, markdown
from .experiment_document import experiment_document
from .run_document import run_document, run_report

Format = Literal["html", "markdown", "json"]
SUFFIXES: dict[str, Format] = {
    ".html": "html",
    ".htm": "html",
    ".md": "markdown",
    ".markdown": "markdown",
    ".json": "json",
}


def report(
    name: Annotated[
        str,
        typer.Argument(metavar="[RUN|EXPERIMENT]", help="A run (id, beginning of it, `latest`), or an experiment."),
    ] = "latest",
    form: PageFormatOption = None,
    out: PageOption = None,
    as_json: PageJsonOption = False,
    to: Annotated[
        list[str] | None,
        typer.Option(
            "--to",
            metavar="TRACKER",
            help="Send tensorboard, wandb, mlflow or trackio what it lacks of a run's figures. May be repeated.",
        ),
    ] = None,
    store: StoreOption = None,
) -> None:
    """Report on a run or an experiment: one HTML page that needs nothing else, Markdown, or JSON.

    Table, curves with intervals, critic against judge, what was turned away, cost and time, samples that a rule has
    chosen, configuration, versions and commit. Of the simulated cast every heading says so.

    With --to no page is made, but an experiment tracker gets what it lacks of a run.

    \b
    Examples:
      openmic report latest --out report.html
      openmic report paper-table --format markdown --out results.md
      openmic report 01JD8Z --json
      openmic report latest --to tensorboard
    """
    if to:
        if form is not None or out is not None:
            raise ConfigError("--to sends figures to a tracker, and --format and --out write a page; give one of them")
        _send(name, to, store, as_json=as_json)
        return
    wanted = chosen_format(form, out, as_json=as_json)
    with read_store(store) as reader:
        text = report_text(reader, named(reader, name), wanted)
    written(escaped(text) if wanted == "json" else text, out)


def _send(name: str, trackers: list[str], store: str | None, *, as_json: bool) -> None:
    from ...graph.runs.send import send_figures

    with Store.open(store_address(store)) as opened:
        found = named(opened, name)
        if isinstance(found, ExperimentRow):
            raise ConfigError(f"{name} is an experiment; trackers take runs, each by itself: see openmic runs")
        with stdout_for_data():
            sent = send_figures(opened, found, trackers, lambda line: typer.echo(printable(line), err=True))
    if as_json:
        print_json(sent)
    else:
        for line in tracker_lines({"trackers": sent}):
            typer.echo(printable(line))


def written(text: str, out: Path | None) -> None:
    """Write what a command made into a file that nobody else may read, or to stdout.

    Raises:
        ConfigError: it cannot be written there.
    """
    file = home_expanded(out)
    if file is None:
        typer.echo(text, nl=not text.endswith("\n"))
        return
    if file.is_dir():
        raise ConfigError(f"--out {str(file)!r} is a folder; name a file, such as {file / 'report.html'}")
    try:
        private_folder(file.absolute().parent)
        private_file(file)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--out {str(file)!r} cannot be written: {told_of_disk(error) or error.strerror}") from None
    typer.echo(f"written: {file}", err=True)


def chosen_format(form: str | None, out: Path | None, *, as_json: bool = False) -> Format:
    """The format that is meant.

    Raises:
        ConfigError: there is no such format, or two are named.
    """
    if as_json:
        if form not in {None, "json"}:
            raise ConfigError(f"--json and --format {form} are two formats; give one of them")
        form = "json"
    if form is None:
        if out is not None and out.suffix.lower() not in SUFFIXES:
            raise ConfigError(f"--out {str(out)!r}: what is written is said by .html, .md or .json, or by --format")
        return "markdown" if out is None else SUFFIXES[out.suffix.lower()]
    if form not in SUFFIXES.values():
        raise ConfigError(f"--format {form!r}: there are html, markdown and json")
    return next(one for one in SUFFIXES.values() if one == form)


def named(reader: Store, name: str) -> Run | ExperimentRow:
    """The experiment of this name, else the run that it means.

    Raises:
        NotFoundError: there is neither.
    """
    experiments = reader.select(ExperimentRow, name=name, order_by="-created_at", limit=1)
    if experiments:
        return experiments[0]
    try:
        return reader.resolve_run(name)
    except NotFoundError as error:
        names = dict.fromkeys(row.name for row in reader.select(ExperimentRow, order_by="-created_at", limit=20))
        known = f"experiments are {', '.join(names)}" if names else "there is no experiment"
        raise NotFoundError(f"{error}; {known}") from None


def report_text(reader: Store, found: Run | ExperimentRow, form: Format) -> str:
    """The report as text of this format."""
    from ...graph.experiments.results import experiment_results, sampled_outputs

    facts: dict[str, Any]
    document: Document
    if isinstance(found, ExperimentRow):
        samples = sampled_outputs(reader, found)
        facts = experiment_results(reader, found)
        document = experiment_document(facts, samples)
        facts = facts | {"samples": samples}
    else:
        facts = run_report(reader, found)
        document = run_document(facts)
    if form == "json":
        return json.dumps(facts, ensure_ascii=False, indent=2)
    return html(document) if form == "html" else markdown(document)
