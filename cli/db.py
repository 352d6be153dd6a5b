"""`openmic db`: the store as a database."""

import re
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote

import typer

from ..core.config import store_address
from ..core.errors import AdapterError, ConfigError, StoreFaultError
from ..core.records import AdapterRef
from ..core.text import printable
from ..store import Adapter, Run, Store, Training, normalize_url, shown_url
from ..store.liveness import run_folder
from ..store.places import is_relative
from .options import JsonOption, StoreOption, home_expanded, print_json, read_store
from .transcripts.lines import one_line

app = typer.Typer(
    help="Look after the store: where it is, backups, checks.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)

_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
FileArgument = Annotated[
    Path, typer.Argument(metavar="FILE", callback=home_expanded, help="The file to write; it must not exist.")
]


@app.command()
def path(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Print where the store is, whether or not it exists yet; never a password.

    \b
    Examples:
      openmic db path
      sqlite3 "$(openmic db path)"
    """
    shown = shown_url(normalize_url(store_address(store)))
    if as_json:
        print_json({"store": shown})
    else:
        file = shown.removeprefix("sqlite:///")
        typer.echo(shown if file == shown else unquote(file))


@app.command()
def status(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Show the schema's revision, the size, and how many rows each table holds.

    \b
    Examples:
      openmic db status
      openmic db status --json | jq .rows.turn
    """
    from ..store.admin.facts import store_facts

    facts = store_facts(store_address(store))
    if as_json:
        print_json(facts.as_json())
        return
    state = "up to date" if facts.revision == facts.head else f"`openmic db migrate` brings it to {facts.head}"
    free = "" if facts.free_bytes is None else f", {facts.free_bytes / 1e6:,.1f} MB of it free"
    typer.echo(
        f"store     {facts.store}\nrevision  {facts.revision} ({state})\nsize      {facts.bytes / 1e6:,.1f} MB{free}"
    )
    for table, rows in facts.rows.items():
        typer.echo(f"  {table:16} {rows:>12,}")


@app.command()
def migrate(
    backup: Annotated[
        Path | None,
        typer.Option(metavar="FILE", callback=home_expanded, help="Back the store up into this file first."),
    ] = None,
    no_backup: Annotated[
        bool, typer.Option("--no-backup", help="PostgreSQL: migrate without a backup; you have your own.")
    ] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring an older store up to date, and its index of words, if need be. All of it happens, or nothing.

    A file is always backed up beside itself, as NAME.before-REVISION.db. A database of PostgreSQL's is backed up with
    pg_dump into the --backup FILE. End what writes to the store first.

    \b
    Examples:
      openmic db migrate
      openmic db migrate --store postgresql://openmic@db/openmic --backup before.dump
    """
    from ..store.admin.backup import back_up
    from ..store.admin.facts import store_facts
    from ..store.admin.migrate import migrate_store
    from ..store.dialects.location import is_postgresql

    url = normalize_url(store_address(store))
    before = store_facts(url)
    if before.revision != before.head:
        if is_postgresql(url) and backup is None and not no_backup:
            raise ConfigError("name a file for pg_dump with --backup FILE, or say --no-backup if you have your own")
        if backup is not None:
            back_up(url, backup)
    else:
        backup = None  # nothing is migrated, and so nothing backed up
    saved = migrate_store(url) or backup
    found = {"from": before.revision, "to": before.head, "backup": None if saved is None else str(saved)}
    if as_json:
        print_json(found)
    elif before.revision == before.head:
        typer.echo(f"the store has the newest schema, {before.head}, already")
    else:
        kept = "" if saved is None else f"; as it was: {saved}"
        typer.echo(f"migrated from {before.revision} to {before.head}{kept}")


@app.command()
def backup(
    file: FileArgument,
    adapters: Annotated[
        bool, typer.Option("--adapters", help="SQLite: copy the adapters along, beside FILE, where it looks for them.")
    ] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Copy the store as it is at this moment, even while a run writes to it.

    Of SQLite the copy is a store; of PostgreSQL it is a dump for pg_restore, made by pg_dump. Adapters are in the runs'
    folders, and not in the store.

    \b
    Examples:
      openmic db backup monday.db
      openmic db backup monday/openmic.db --adapters
      openmic db backup monday.dump --store postgresql://openmic@db/openmic
    """
    from ..store.admin.adapters import copy_adapters
    from ..store.admin.backup import backing_up
    from ..store.dialects.location import is_postgresql, sqlite_path

    url = normalize_url(store_address(store))
    if adapters and is_postgresql(url):
        raise ConfigError("the adapters of a PostgreSQL store are named by absolute paths: copy their folders yourself")
    copied = 0
    with backing_up(url, file):
        if adapters:
            copied = copy_adapters(sqlite_path(url), file)
    size = file.stat().st_size
    if as_json:
        print_json({"backup": str(file), "bytes": size, "adapters": copied if adapters else None})
    else:
        typer.echo(f"{file}: {size / 1e6:,.1f} MB" + (f" and {copied} adapters" if adapters else ""))


@app.command()
def verify(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Check everything that can be checked: hashes, references, lineage, and adapters' files.

    Ends with 1 where anything is at fault.

    \b
    Examples:
      openmic db verify
      openmic db verify --json | jq '.faults[].row'
    """
    from ..store.admin.prune import left_behind
    from ..store.admin.verify import Fault
    from ..store.admin.verify import verify as check

    with read_store(store) as reader:
        faults = list(check(reader))
        faults += [Fault("files", row, what) for row, what in _adapter_faults(reader)]
        gone = "is of a run that is gone: `openmic db prune --keep N --files` deletes it"
        faults += [Fault("files", f"folder {folder}", gone) for folder in left_behind(reader)]
    if as_json:
        print_json({"faults": [{"check": fault.check, "row": fault.row, "what": fault.what} for fault in faults]})
    else:
        for fault in faults:
            typer.echo(printable(f"{fault.check}: {fault.row} {fault.what}"))
        typer.echo(
            f"{len(faults)} fault{'s' * (len(faults) > 1)}" if faults else "everything is as it should be",
            err=bool(faults),
        )
    if faults:
        raise typer.Exit(1)


def _adapter_faults(reader: Store) -> Iterator[tuple[str, str]]:
    """What is wrong with adapters' files: missing, altered, or where they cannot be read."""
    from ..training.adapters.adapters import verify_adapter

    if (elsewhere := _left_behind(reader)) is not None:
        yield elsewhere
        return
    seen: set[tuple[str, str | None]] = set()
    trainings = {row.id: row for row in reader.select(Training)}
    for adapter in reader.select(Adapter, order_by="version"):
        if adapter.uri is None or (adapter.uri, adapter.sha256) in seen:  # runs derived from another share its adapters
            continue
        seen.add((adapter.uri, adapter.sha256))
        try:
            verify_adapter(AdapterRef(adapter.version, reader.located(adapter.uri), adapter.sha256))
        except AdapterError as error:
            made_by = trainings.get(adapter.training_id or "")  # another run, where this one works on its transcripts
            maker = adapter.run_id if made_by is None else made_by.metrics.get("taken_from", made_by.run_id)
            yield f"adapter {adapter.id}", f"{error}; `openmic train --again {maker}` makes it anew"


def _left_behind(reader: Store) -> tuple[str, str] | None:
    """What is said of a file that was copied without the runs' folders; None where any of them is there."""
    places = {row.uri for row in reader.select(Adapter) if row.uri and is_relative(row.uri)}
    if not places or any(Path(reader.located(place)).parent.exists() for place in places):
        return None
    return (
        f"{len(places)} adapters",
        "lie beside another file, and not beside this one: is it a copy of a store alone? `openmic db backup FILE "
        "--adapters` copies them too",
    )


@app.command()
def prune(
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN]…", help="Runs to delete, instead of those that are old.")
    ] = None,
    older_than: Annotated[
        str | None, typer.Option(metavar="AGE", help="Delete runs begun longer ago than this, such as 12h, 30d or 8w.")
    ] = None,
    keep: Annotated[int | None, typer.Option(min=0, help="Delete all but the latest so many runs.")] = None,
    files: Annotated[bool, typer.Option("--files", help="Delete the runs' folders too: adapters, logs.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete whole runs: transcripts, verdicts, preferences, trainings and all else that belongs to them.

    Inputs and prompts that other runs use stay. Runs that go on are left, those that are served, talked to or exported
    on this machine, and those whose texts or adapters others work with, unless all of these are named. Adapters in
    remote storage are never deleted.

    Ends with 1 where runs are deleted and a folder of theirs could not be, or the file could not be made smaller.

    \b
    Examples:
      openmic db prune --older-than 30d --keep 5 --dry-run
      openmic db prune 01JZ3 01JZ4 --files --yes
    """
    from ..store.admin import prune as pruning

    if not runs and older_than is None and keep is None:
        raise ConfigError("say which runs: name them, or give --older-than AGE or --keep N")
    if runs and (older_than is not None or keep is not None):
        raise ConfigError("either name runs, or give --older-than and --keep")
    before = None if older_than is None else datetime.now(UTC) - _age(older_than)
    with read_store(store) as reader:
        named = [reader.resolve_run(name) for name in runs or []]
        chosen = pruning.prunable(reader, named, before=before, keep=keep)
        rows = pruning.belonging(reader, [run.id for run in chosen])
        folders = [folder for run in chosen if files and (folder := run_folder(reader, run)).is_dir()]
        folders += pruning.left_behind(reader) if files else []
    if not as_json:
        _say_what_goes(chosen, rows, folders)
    if (chosen or folders) and not dry_run:
        if not yes:
            typer.confirm("Delete them?", abort=True, err=True)
        _prune(store_address(store), chosen, given=bool(runs), files=files, as_json=as_json)
    elif as_json:
        planned = pruning.Pruned([run.id for run in chosen], rows, [str(folder) for folder in folders])
        print_json({"deleted": False, **asdict(planned)})


def _prune(url: str, runs: list[Run], *, given: bool, files: bool, as_json: bool) -> None:
    """Delete runs, say what is gone, and end with 1 where some of it could not be done."""
    from ..store.admin import prune as pruning

    with Store.open(url) as writer:
        done = pruning.prune(writer, runs, given=given, files=files)
        if not as_json:  # before anything else can go wrong
            rows, folders = sum(done.rows.values()), len(done.folders)
            typer.echo(f"deleted: {len(done.runs)} runs with {rows:,} rows, {folders} folders")
        if done.runs:
            try:
                pruning.compact(writer)
            except StoreFaultError as error:
                done.faults.append(str(error))
    if as_json:
        print_json({"deleted": bool(done.runs), **asdict(done)})
    for line in (*done.left, *done.faults):
        typer.echo(printable(line), err=True)
    if done.faults:
        raise typer.Exit(1)


def _age(value: str) -> timedelta:
    found = re.fullmatch(r"(\d+)([hdw])", value)
    if found is None:
        raise ConfigError(f"--older-than {value!r} is no age: give hours, days or weeks, such as 12h, 30d or 8w")
    return int(found[1]) * _UNITS[found[2]]


def _say_what_goes(runs: list[Run], rows: dict[str, int], folders: list[Path]) -> None:
    if not runs:
        typer.echo("no run is to be deleted", err=True)
    for run in runs:
        typer.echo(f"run {run.id} ({one_line(run.name)}), begun {run.created_at:%Y-%m-%d %H:%M}")
    if runs:
        typer.echo("rows: " + ", ".join(f"{number:,} {table}" for table, number in rows.items()))
    for folder in folders:
        typer.echo(printable(f"folder {folder}"))
