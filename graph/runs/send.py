"""Sending what the store holds of a run to experiment trackers, after the fact."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from ...core.config import saved_config
from ...core.config_file import override_config
from ...core.errors import OpenmicError
from ...store import Run, Store
from ...store.liveness import held_run
from ..tracking.reporting import Reporter, command
from ..tracking.sent import trackers
from ..tracking.trackers import check_trackers


def send_figures(store: Store, run: Run, names: Sequence[str], tell: Callable[[str], None]) -> dict[str, Any]:
    """Send trackers what they lack of a run that nobody is carrying out; returns what each has by then.

    Args:
        store: Open for writing.
        run: The run; its configuration says what else is sent, and under which project.
        names: The trackers, whether or not the run's configuration names them.
        tell: Takes a line for whoever watches.

    Raises:
        ConfigError: there is no such tracker, it is not installed, or the run is being carried out.
        OpenmicError: a tracker did not take all of it.
    """
    config = override_config(saved_config(run), [f"tracking.report_to={json.dumps(list(names), ensure_ascii=False)}"])
    check_trackers(config.tracking)
    with held_run(store, run):
        reporter = Reporter(store, run, config, tell)
        try:
            reporter.send()
        finally:
            reporter.finish()
    if failed := [name for name, sent in reporter.sent.items() if sent.error]:
        why = "; ".join(f"{name}: {reporter.sent[name].error}" for name in failed)
        raise OpenmicError(f"not all of run {run.id} was sent ({why}); to send the rest: {command(run, failed)}")
    everything = trackers(store, run)
    return {name: everything[name] for name in reporter.sent}
