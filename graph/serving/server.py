"""Serving a run's student: on this machine's own address, or on another one with a token."""

import os
from collections.abc import Callable

from ...core.config import saved_config
from ...core.endpoints.listening import LOOPBACK, AnnouncingServer, address_of, bind, is_loopback
from ...core.errors import ConfigError, OpenmicError
from ...store import Run, Store
from ...store.liveness import in_use
from ...training.adapters.adapters import verify_adapter
from ...training.engines.choose import make_engine
from ...training.student.fingerprint import KnownFiles
from ..context.opening import task_of
from ..context.plugs import Plugs
from .app import build_app
from .students import Served, Students, served_versions


def serve(
    store: Store,
    run: Run,
    version: int | None,
    *,
    host: str,
    port: int,
    token: str | None,
    device: str | None = None,
    on_ready: Callable[[str, Served], None],
) -> None:
    """Serve until told to stop (SIGINT, SIGTERM).

    Args:
        store: Open; it is read before anything is served, and not again.
        run: The run.
        version: The one version to serve; None serves all.
        host: The address to listen on.
        port: The port; 0 takes a free one.
        token: What every request must bear.
        device: Where to compute; None: as in the run.
        on_ready: Called with the address and what is served when the server answers.

    Raises:
        ConfigError: it would be open to other machines, or cannot listen there, or the student's engine cannot be had.
        NotFoundError: the run has no such version.
        StudentError: the student cannot be loaded, or its files are not those that the run began with.
        AdapterError: the adapter is not what was committed.
    """
    if token is None and not is_loopback(host):
        raise ConfigError(
            f"--host {host} opens the student to other machines; set a token, by OPENMIC_SERVE_TOKEN or --token"
        )
    if token is not None and (not token.strip() or not token.isascii()):
        raise ConfigError("--token is empty, or holds more than ASCII, which no header can; take another")
    config = saved_config(run).settled()
    campaign = store.campaign_of(run)
    task = task_of(campaign, saved_config(campaign), Plugs().recall(campaign))
    served = served_versions(store, run, config, task, version)
    settings = config.student if device is None else config.student.model_copy(update={"device": device})
    if (ref := served.versions[served.default]).version:
        verify_adapter(ref)
    failed: list[OpenmicError] = []
    with in_use(store, run), bind(host, port, "the student's server") as listener:
        address = address_of(host, listener)
        known = KnownFiles(run.id, run.student_files)
        engine = make_engine(settings, threads=config.training.threads or os.cpu_count() or 1, known=known)

        async def opened() -> Students:
            students = Students(served, engine)
            try:
                await students.load(served.default)
            except OpenmicError as error:
                failed.append(error)  # the server says no more than that it could not start
                await students.close()
                raise
            return students

        hosts = {*LOOPBACK, host.lower().strip("[]")} if token is None else None
        app = build_app(opened, token=token, hosts=hosts)
        AnnouncingServer(app, lambda: on_ready(f"{address}/v1", served)).serve_until_told(listener)
    if failed:
        raise failed[0]
