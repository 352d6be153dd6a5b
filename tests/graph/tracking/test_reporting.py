"""What each tracker holds afterwards, read back from its own files, is what the store holds."""

import asyncio
import importlib.util
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import pytest

from openmic.core.config import RunConfig
from openmic.core.config_file import load_config
from openmic.core.endpoints.secrets import hidden
from openmic.core.errors import ConfigError, OpenmicError
from openmic.core.tracking_settings import TrackerName, TrackingSettings
from openmic.graph.report import run_status
from openmic.graph.runs.send import send_figures
from openmic.graph.tracking.figures import figures, flat, numbers
from openmic.graph.tracking.reporting import Reporter, reporting
from openmic.graph.tracking.sent import sent_of
from openmic.graph.tracking.trackers import PACKAGES, check_trackers, keep_keys
from openmic.store import Run, Store
from openmic.store.liveness import held_run, run_folder

from ...viewer.transcripts import write

Read = Callable[[Path], dict[str, list[float]]]
KEY = "planted-0123456789+/x"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "store.db")) as opened:
        write(opened)
        run_folder(opened, the_run(opened)).mkdir(parents=True)
        adapter = Path(opened.located("uri"))
        adapter.mkdir(parents=True)
        (adapter / "adapter_config.json").write_text("{}")
        yield opened


def unheard(_: str) -> None:
    """Whoever is told listens to nothing."""


def the_run(store: Store) -> Run:
    run = store.get(Run, "RUN1")
    assert run is not None
    return run


def configured(home: Path, *names: str) -> RunConfig:
    return RunConfig.model_validate(
        {"inputs": {"path": "none.jsonl"}, "home": str(home), "tracking": {"report_to": list(names), "project": "test"}}
    )


def by_name(store: Store) -> dict[str, list[float]]:
    """Every number of the store by its name, in its order."""
    found = dict[str, list[float]]()
    for figure in figures(store, the_run(store)):
        for name, value in figure.values.items():
            found.setdefault(name, []).append(value)
    return found


def of_tensorboard(folder: Path) -> dict[str, list[float]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder / "tracking" / "tensorboard" / "RUN1"))
    read.Reload()
    return {name: [event.value for event in read.Scalars(name)] for name in read.Tags()["scalars"]}


def of_mlflow(folder: Path) -> dict[str, list[float]]:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder.absolute()}/tracking/mlflow/mlflow.db")
    [experiment] = client.search_experiments(filter_string="name = 'test'")
    [run] = client.search_runs([experiment.experiment_id])  # resumed, it is the same
    assert {file.path for file in client.list_artifacts(run.info.run_id)} == {"adapters", "samples"}
    return {
        name: [metric.value for metric in client.get_metric_history(run.info.run_id, name)] for name in run.data.metrics
    }


def of_trackio(folder: Path) -> dict[str, list[float]]:
    [database] = (folder / "trackio").glob("*.db")
    with sqlite3.connect(database) as connection:
        rows = connection.execute("SELECT run_name, metrics FROM metrics ORDER BY id").fetchall()
    assert len({name for name, _ in rows}) == 1
    return _gathered(json.loads(metrics) for _, metrics in rows)


def of_wandb(folder: Path) -> dict[str, list[float]]:
    wire: Any = import_module("wandb.proto.wandb_internal_pb2")  # its names are made when it is imported
    rows, runs = [], set()
    for file in sorted((folder / "tracking" / "wandb" / "wandb").glob("offline-run-*/*.wandb")):
        for data in records(file.read_bytes()):
            record = wire.Record()
            record.ParseFromString(data)
            if record.run.run_id:
                runs.add(record.run.run_id)
            rows.append({"/".join(i.nested_key) or i.key: json.loads(i.value_json) for i in record.history.item})
    assert runs == {"RUN1"}
    return _gathered(rows)


def records(file: bytes) -> Iterator[bytes]:
    """Those of a W&B log: LevelDB's format, blocks of 32 KiB with parts of records, behind a head of seven bytes."""
    place, whole = 7, b""
    while place + 7 <= len(file):
        if (left := 32768 - place % 32768) < 7:
            place += left
            continue
        length, kind = int.from_bytes(file[place + 4 : place + 6], "little"), file[place + 6]
        whole += file[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in {1, 4}:  # a whole record, or the last part of one
            yield whole
            whole = b""


def _gathered(rows: Any) -> dict[str, list[float]]:
    found = dict[str, list[float]]()
    for row in rows:
        for name, value in row.items():
            if isinstance(value, int | float):
                found.setdefault(name, []).append(value)
    return found


@pytest.mark.parametrize(
    ("name", "read"),
    [("tensorboard", of_tensorboard), ("mlflow", of_mlflow), ("wandb", of_wandb), ("trackio", of_trackio)],
)
@pytest.mark.filterwarnings("ignore")  # theirs
@pytest.mark.slow
def test_the_trackers_files_hold_the_stores_numbers_once_resumed_or_not(
    name: TrackerName, read: Read, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not any(importlib.util.find_spec(package) for package in PACKAGES[name]):
        pytest.skip(f"{name} is not installed (openmic[{name}])")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    told = list[str]()
    for _ in range(2):  # the second is a run that was resumed
        reporter = Reporter(store, the_run(store), configured(tmp_path, name), told.append)
        reporter.ending.set()
        reporter.keep_on()
    assert told == []
    assert reporter.sent[name].where
    theirs, ours = read(tmp_path), by_name(store)
    assert {one: theirs.get(one) for one in ours} == {one: pytest.approx(values) for one, values in ours.items()}
    assert sent_of(run_folder(store, the_run(store)))[name].failures == 0


class Sending:
    """A tracker that was down, and is no longer once `up` is set."""

    up = False
    took: ClassVar[list[Any]] = []
    takes_files = True

    def __init__(self, *_: Any) -> None:
        self.log = self.table = self.artifact = lambda *given: self.took.append(given)

    def start(self, config: Mapping[str, Any]) -> tuple[str, str]:
        if not self.up:
            raise OSError(f"no route to host for {KEY}")
        self.took.append(config)
        return "T1", f"https://{KEY}@example.org/T1"

    def finish(self) -> None:
        """Nothing is left."""


@pytest.fixture
def sending(monkeypatch: pytest.MonkeyPatch) -> type[Sending]:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setattr("openmic.graph.tracking.reporting.Sink", Sending)
    monkeypatch.setattr("openmic.graph.runs.send.check_trackers", lambda _: None)
    monkeypatch.setattr(Sending, "up", False)
    monkeypatch.setattr(Sending, "took", [])
    return Sending


def report_while_nothing_happens(store: Store, home: Path) -> list[str]:
    """What is told of a run that does nothing."""
    told = list[str]()

    async def work() -> None:
        async with reporting(store, the_run(store), configured(home, "wandb"), told.append):
            pass

    asyncio.run(work())
    return told


def test_a_tracker_that_is_down_ends_nothing_is_counted_and_gets_what_it_lacks_by_a_command(
    sending: type[Sending], store: Store, tmp_path: Path
) -> None:
    store.update(Run, "RUN1", config=configured(tmp_path, "wandb").model_dump(mode="json"))
    told = report_while_nothing_happens(store, tmp_path)
    assert told[0].startswith("note: wandb takes no figures (no route to host for …); the run goes on")
    assert told[1] == (
        "note: wandb lacks figures of this run (no route to host for …); to send them: openmic report RUN1 --to wandb"
    )
    assert run_status(store, the_run(store))["trackers"] == {
        "wandb": {"where": None, "figures": 0, "failures": 2, "error": "no route to host for …"}
    }
    with pytest.raises(OpenmicError, match=r"not all of run RUN1 was sent \(wandb: no route to host for …\)"):
        send_figures(store, the_run(store), ["wandb"], told.append)
    sending.up = True
    [(name, sent)] = send_figures(store, the_run(store), ["wandb"], told.append).items()
    assert (name, sent["where"], sent["failures"], sent["error"]) == ("wandb", "https://…@example.org/T1", 3, None)
    assert sent["figures"] == len(sending.took) - 1 > 5
    assert KEY not in (run_folder(store, the_run(store)) / "tracking.json").read_text()
    again = len(sending.took)
    assert send_figures(store, the_run(store), ["wandb"], told.append) == {name: sent}
    assert len(sending.took) == again + 1, "nothing but the configuration, as the run is begun there once more"


def test_a_run_without_trackers_has_none_and_is_sent_to_one_all_the_same(
    sending: type[Sending], store: Store, tmp_path: Path
) -> None:
    store.update(Run, "RUN1", config=configured(tmp_path).model_dump(mode="json"))
    assert run_status(store, the_run(store))["trackers"] == {}
    sending.up = True
    send_figures(store, the_run(store), ["trackio"], unheard)
    assert set(run_status(store, the_run(store))["trackers"]) == {"trackio"}


@pytest.mark.parametrize("names", [["nowhere"], [""], ["wandb", "wandb"], ["wandb]"], ["😀"]])
def test_names_that_are_no_trackers_are_refused(names: list[str], store: Store, tmp_path: Path) -> None:
    store.update(Run, "RUN1", config=configured(tmp_path).model_dump(mode="json"))
    with pytest.raises(ConfigError, match=r"tracking\.report_to"):
        send_figures(store, the_run(store), names, unheard)


def test_a_run_that_is_carried_out_is_left_to_whoever_does(
    sending: type[Sending], store: Store, tmp_path: Path
) -> None:
    store.update(Run, "RUN1", config=configured(tmp_path).model_dump(mode="json"))
    with held_run(store, the_run(store)), pytest.raises(ConfigError, match="another process is carrying out run RUN1"):
        send_figures(store, the_run(store), ["wandb"], unheard)


def test_the_trackers_passwords_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://ann:p%40ssword-1@mlflow.example.org")
    keep_keys()
    assert hidden("p%40ssword-1 and p@ssword-1") == "… and …"


@pytest.mark.parametrize("noted", ["", "[]", "{", '{"wandb": 3}', '{"wandb": {"else": 1}}'])
def test_notes_that_are_damaged_are_none(noted: str, tmp_path: Path) -> None:
    (tmp_path / "tracking.json").write_text(noted)
    assert sent_of(tmp_path) == {}


def test_numbers_are_those_that_are_finite_under_names_that_every_tracker_takes() -> None:
    given = {"ci": [0.1, 0.2], "scores": {"ü: x": 1, "nan": float("nan")}, "on": True, "none": None, "text": "a"}
    assert numbers("dev", given) == {"dev/ci_low": 0.1, "dev/ci_high": 0.2, "dev/scores/ü_ x": 1.0}
    assert flat({"a": {"b": 1, "c": None}, "d": {}, "e": [1]}) == {"a.b": 1, "a.c": "None", "d": "{}", "e": "[1]"}


def test_a_tracker_that_is_not_installed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"report_to: mlflow is not installed; pip install 'openmic\[mlflow\]'"):
        check_trackers(TrackingSettings(report_to=("mlflow",)))


def test_one_name_alone_will_do_and_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("inputs: {path: none.jsonl}\ntracking: {report_to: wandb}\n")
    assert load_config(path, []).tracking.report_to == ("wandb",)
    with pytest.raises(ConfigError, match="a tracker stands there twice"):
        load_config(path, ["tracking.report_to=[wandb, wandb]"])
