"""Runs that work on another run's transcripts: training from them alone, and judging them again.

The campaign they go back to is left as it is; what is made of it belongs to a run of its own.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ...core.config import RunConfig, saved_config
from ...core.config_file import override_config
from ...core.errors import ConfigError
from ...core.ids import derive_id, new_id
from ...store import Adapter, Run, Store
from ...store.liveness import run_folder
from ...store.tables.transcript import RunKind
from ...training.student.fingerprint import files_for
from ..context.keys import plug_keys
from ..context.opening import task_of
from ..context.plugs import Plugs
from ..context.seats import seat_setting, seats
from .provenance import Membership, begin_run, run_record

SETTABLE = {
    "train": ("training", "preferences", "student", "seed", "budget"),
    "rejudge": ("cast", "verdict", "seed", "budget"),
    "evaluate": ("evaluation", "cast", "verdict", "seed", "budget"),
}
"""The sections that matter to a derived run, and so may be overridden."""


def derived_config(kind: RunKind, source: RunConfig, overrides: Sequence[str]) -> RunConfig:
    """A source's configuration with the overrides laid over it.

    Raises:
        ConfigError: a key is unknown, has a wrong value, or plays no part in what the run does.
    """
    allowed = SETTABLE[kind]
    for override in overrides:
        section = override.partition("=")[0].partition(".")[0].strip()
        if section in RunConfig.model_fields and section not in allowed:
            raise ConfigError(
                f"--set {override}: `openmic {kind}` works on what is stored, so only {', '.join(allowed)} can be set"
            )
    config = override_config(source, overrides)
    # The commit that was recorded is of the model that was.
    if config.student.model != source.student.model and config.student.revision == source.student.revision:
        config = override_config(config, ["student.revision=null"])
    return config


def recalled(source: Run, config: RunConfig, plugs: Plugs | None) -> Plugs:
    """Know what the source was given, but for what the new configuration replaces or makes otherwise."""
    uses, kwargs, before = plug_keys(config), _kwargs(config), _kwargs(saved_config(source))
    kept = {
        key: record
        for key, record in source.plugs.items()
        if uses.get(key, record["use"]) == record["use"] and kwargs.get(key) == before.get(key)
    }
    return (plugs or Plugs()).recall(source, kept)


def _kwargs(config: RunConfig) -> dict[str, Mapping[str, Any]]:
    """What the objects are made with that a derived run may set, by key."""
    found = {f"cast.{seat_setting(seat)}": settings.kwargs for seat, settings in seats(config.cast).items()}
    own = {"training.objective": config.training.objective_kwargs, "student.engine": config.student.engine_kwargs}
    return {**found, **own}


def begin_derived(
    store: Store,
    kind: RunKind,
    source: Run,
    config: RunConfig,
    *,
    plugs: Plugs,
    simulated: bool,
    arguments: Sequence[str],
    adapters: Sequence[Adapter] = (),
    member: Membership | None = None,
) -> Run:
    """Record a new run over a source's transcripts, with the adapters of the source's that it works with.

    Raises:
        ConfigError: the source's task was changed since it began.
    """
    task = task_of(source, config, plugs)
    run_id = new_id()
    home = run_folder(store, source).parent / run_id
    run = run_record(
        run_id,
        config,
        task,
        simulated=simulated,
        plugs=plugs.records,
        home=store.recorded(home),
        arguments=arguments,
        kind=kind,
        source=source.id,
        member=member,
        files=files_for(config.student, saved_config(source).student, source.student_files),
    )
    return begin_run(store, run, *(_inherited(run_id, row) for row in adapters))


def _inherited(run_id: str, row: Adapter) -> Adapter:
    """A source's adapter as a version of a run that goes back to it; its files stay where they are."""
    return Adapter(**row.model_dump() | {"id": derive_id(run_id, "adapter", row.version), "run_id": run_id})
