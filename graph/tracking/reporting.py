"""Sending a run's figures to its trackers while it goes on, and what is left of them at its end.

The store is what is sent, by a thread of the driver that reads it again and again. What was sent is noted beside the
run, so that a run that is resumed goes on where its trackers are; what a killed process had sent in its last seconds is
sent twice. A tracker that fails ends nothing: it is tried again, counted, and said.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

from ...core.config import RunConfig
from ...core.endpoints.secrets import hidden
from ...core.tracking_settings import TrackerName
from ...store import Run, Store, without_passwords
from ...store.liveness import run_folder
from .figures import Files, adapters, figures, flat, samples
from .sent import Sent, note, sent_of
from .trackers import Sink, keep_keys

PERIOD_S = 30.0
"""How often the store is looked at."""
NOTED_S = 2.0
"""How often it is noted what was sent."""
LAST_S = 60.0
"""How long the end of a run waits for its trackers."""
INTERRUPTED_S = 3.0
"""How long that of one that is interrupted does, all of whose end is to take ten seconds at most."""


@asynccontextmanager
async def reporting(store: Store, run: Run, config: RunConfig, tell: Callable[[str], None]) -> AsyncIterator[None]:
    """Send the run's figures to its trackers for the time of the block, and the rest at its end."""
    if not config.tracking.report_to:
        yield
        return
    loop = asyncio.get_running_loop()

    def tell_from_there(line: str) -> None:
        with suppress(RuntimeError):  # the loop is closed: the tracker outlasted the run, which was told
            loop.call_soon_threadsafe(tell, line)

    reporter = Reporter(store, run, config, tell_from_there)
    thread = threading.Thread(target=reporter.keep_on, name="trackers", daemon=True)
    thread.start()
    wait = LAST_S
    try:
        yield
    except asyncio.CancelledError:
        wait = INTERRUPTED_S
        raise
    finally:
        reporter.ending.set()
        await asyncio.to_thread(thread.join, wait)
        for name, sent in reporter.sent.items():
            if sent.error or thread.is_alive():
                why = sent.error or f"it did not take all of it within {wait:.0f} s"
                tell(f"note: {name} lacks figures of this run ({why}); to send them: {command(run, [name])}")


def command(run: Run, names: Sequence[str]) -> str:
    """The command that sends trackers what they lack of a run."""
    return f"openmic report {run.id} {' '.join(f'--to {name}' for name in names)}"


class Reporter:
    """Sends what the store holds and its trackers lack. For one thread.

    Args:
        store: Where the run is; it is opened anew, for reading.
        run: The run.
        config: Its configuration.
        tell: Takes a line for whoever watches.
    """

    def __init__(self, store: Store, run: Run, config: RunConfig, tell: Callable[[str], None]) -> None:
        self._address, self._run_id, self._config, self._tell = store.address, run.id, config, tell
        self._folder, self._places = run_folder(store, run), config.home / "tracking"
        self._noted_at = time.monotonic()
        self._sinks = dict[TrackerName, Sink]()
        self._all = sent_of(self._folder)
        self.sent = {name: self._all.setdefault(name, Sent()) for name in config.tracking.report_to}
        """What each tracker has."""
        self.ending = threading.Event()
        """Set by whoever wants it to end."""
        keep_keys()

    def keep_on(self) -> None:
        """Send what there is until it is to end, and once more then."""
        self.send()
        while not self.ending.wait(PERIOD_S):
            self.send()
        self.send()
        self.finish()

    def send(self) -> None:
        """Send what each tracker lacks."""
        try:
            for name in self.sent:
                self._attempt(name, partial(self._send, name))
        finally:
            self._note()

    def finish(self) -> None:
        """Have each tracker write what it has not written yet."""
        for name, sink in self._sinks.items():
            self._attempt(name, sink.finish)
        self._sinks.clear()
        self._note()

    def _attempt(self, name: TrackerName, work: Callable[[], None]) -> None:
        sent = self.sent[name]
        try:
            work()
        except Exception as error:  # whatever a tracker raises is its own business
            first, why = sent.error is None, " ".join(hidden(str(error)).split())[:300]
            sent.failures, sent.error = sent.failures + 1, why or type(error).__name__
            if first:
                self._tell(f"note: {name} takes no figures ({sent.error}); the run goes on, and it is tried again")
        else:
            sent.error = None

    def _send(self, name: TrackerName) -> None:
        sent = self.sent[name]
        with Store.open_readonly(self._address) as store:
            run = store.get(Run, self._run_id)
            assert run is not None
            sink = self._sinks.get(name) or self._start(name, run)
            for found in figures(store, run):
                self._once(sent, found.key, found.place, partial(sink.log, found.values, found.step))
            tracking = self._config.tracking
            for table in samples(store, run, tracking.samples) if tracking.samples else ():
                self._once(sent, f"samples/{table.version}", len(table.rows), partial(sink.table, table))
            for adapter in adapters(store, run) if tracking.adapters and sink.takes_files else ():
                self._once(sent, f"adapter/{adapter.version}", 1, partial(self._send_adapter, name, sink, adapter))

    def _send_adapter(self, name: TrackerName, sink: Sink, adapter: Files) -> None:
        if Path(adapter.uri).is_dir():
            sink.artifact(adapter, Path(adapter.uri))
        else:
            self._tell(f"note: {name} has no adapter v{adapter.version}: {adapter.uri} is no folder of this machine")

    def _start(self, name: TrackerName, run: Run) -> Sink:
        sent = self.sent[name]
        sink = Sink(name, self._config.tracking, self._places / name, (run.id, run.name), sent.id)
        config = run.config
        if (store := config.get("store")) is not None:
            config = {**config, "store": without_passwords(store)}
        kept = {key: hidden(value) if isinstance(value, str) else value for key, value in flat(config).items()}
        sent.id, where = sink.start(kept)
        sent.where = hidden(where)
        self._sinks[name] = sink
        return sink

    def _once(self, sent: Sent, key: str, place: int, send: Callable[[], None]) -> None:
        if place > sent.places.get(key, -1):
            send()
            sent.places[key], sent.figures = place, sent.figures + 1
            if time.monotonic() >= self._noted_at + NOTED_S:
                self._note()

    def _note(self) -> None:
        self._noted_at = time.monotonic()
        try:
            note(self._folder, self._all)
        except OSError as error:
            self._tell(f"note: what the trackers have cannot be noted ({error}); a resumed run sends it again")
