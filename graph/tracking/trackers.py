"""The trackers, through accelerate's classes for them: how each is begun, goes on, and takes tables and folders."""

import importlib.util
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from ...core.endpoints.secrets import keep_secret
from ...core.errors import ConfigError
from ...core.files.private import private_folder
from ...core.tracking_settings import TrackerName, TrackingSettings
from .figures import COLUMNS, Files, Samples

PACKAGES: Mapping[TrackerName, tuple[str, ...]] = {
    "tensorboard": ("tensorboard", "tensorboardX"),
    "wandb": ("wandb",),
    "mlflow": ("mlflow",),
    "trackio": ("trackio",),
}
"""What has to be installed for each; one of several will do."""
VERSION_OF: Mapping[str, str] = {"train": "train/step", "dev": "dev/version", "test": "test/version"}
"""What W&B lays figures over: it takes steps of its own only in their order."""

KEYS = ("WANDB_API_KEY", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "HF_TOKEN", "DATABRICKS_TOKEN")
"""The variables that trackers take their keys from."""


def keep_keys() -> None:
    """From now on have the trackers' keys left out of what is shown and stored."""
    keep_secret(*filter(None, map(os.environ.get, KEYS)))
    password = urlsplit(os.environ.get("MLFLOW_TRACKING_URI", "")).password
    if password:
        keep_secret(password, unquote(password))


def check_trackers(settings: TrackingSettings) -> None:
    """Check that each tracker is installed.

    Raises:
        ConfigError: one is not.
    """
    for name in settings.report_to:
        if not any(importlib.util.find_spec(package) for package in PACKAGES[name]):
            raise ConfigError(
                f"tracking.report_to: {name} is not installed; pip install 'openmic[{name}]', or leave it out"
            )


class Sink:
    """One tracker's run.

    Args:
        name: Which tracker.
        settings: The run's.
        folder: Where a tracker writes that has no place of its own.
        run: The run's id, and its name.
        known: What the tracker calls the run, where it was begun before.
    """

    def __init__(
        self, name: TrackerName, settings: TrackingSettings, folder: Path, run: tuple[str, str], known: str | None
    ) -> None:
        self._name, self._settings, self._folder = name, settings, folder
        self._run, self._title = run
        self._known = known
        self._tracker: Any = None
        self._endings: list[Callable[[], object]] = []

    def start(self, config: Mapping[str, Any]) -> tuple[str, str]:
        """Begin the run there, or go on with it; returns its name there, and where a person finds it."""
        from accelerate.state import PartialState

        PartialState()  # accelerate's trackers cannot log a word without it
        private_folder(self._folder)
        begin: Mapping[TrackerName, Callable[[Mapping[str, Any]], tuple[str, str]]] = {
            "tensorboard": self._start_tensorboard,
            "wandb": self._start_wandb,
            "mlflow": self._start_mlflow,
            "trackio": self._start_trackio,
        }
        return begin[self._name](config)

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Numbers at a step."""
        if self._name == "wandb":
            self._tracker.log({**values, "train/step": step})
        else:
            self._tracker.log(dict(values), step=step)

    def table(self, found: Samples) -> None:
        """A table of what a version said."""
        name, rows = f"samples/v{found.version}", [list(row) for row in found.rows]
        if self._name == "wandb":
            self._tracker.log_table(name.replace("/", "-"), columns=list(COLUMNS), data=rows)
        elif self._name == "mlflow":
            import mlflow

            mlflow.log_dict({"columns": list(COLUMNS), "data": rows}, f"{name}.json")
        elif self._name == "trackio":
            import trackio

            self._tracker.log({name: trackio.Table(columns=list(COLUMNS), data=rows)}, step=found.step)
        else:
            self._tracker.log({name: _markdown([list(COLUMNS), ["---"] * len(COLUMNS), *rows])}, step=found.step)

    @property
    def takes_files(self) -> bool:
        """Whether it keeps files."""
        return self._name != "tensorboard"

    def artifact(self, found: Files, folder: Path) -> None:
        """An adapter's folder."""
        name = f"adapter-{self._run}-v{found.version}"
        if self._name == "wandb":
            import wandb

            artifact = wandb.Artifact(name, type="model")
            artifact.add_dir(str(folder))
            self._tracker.tracker.log_artifact(artifact)
        elif self._name == "mlflow":
            self._tracker.log_artifacts(str(folder), artifact_path=f"adapters/v{found.version}")
        elif self._name == "trackio":
            self._tracker.tracker.log_artifact(str(folder), name=name, type="model")

    def finish(self) -> None:
        """Write what is not written yet."""
        self._tracker.finish()
        for end in self._endings:
            end()

    @property
    def _called(self) -> str:
        """The run's name, told apart from others of the same name."""
        return f"{self._title} {self._run[-6:]}"

    def _start_tensorboard(self, config: Mapping[str, Any]) -> tuple[str, str]:
        from accelerate.tracking import TensorBoardTracker

        self._tracker = _everywhere(TensorBoardTracker)(self._run, logging_dir=str(self._folder))
        self._tracker.start()
        if self._known is None:
            self._tracker.store_init_configuration(dict(config))
        return self._run, str((self._folder / self._run).absolute())

    def _start_wandb(self, config: Mapping[str, Any]) -> tuple[str, str]:
        import wandb
        from accelerate.tracking import WandBTracker

        online = wandb.setup().settings.mode not in {"offline", "dryrun", "disabled"}
        if online and wandb.run is None and not wandb.login(prompt=False):  # a prompt would wait for ever
            raise ConfigError("no key: `wandb login`, WANDB_API_KEY or WANDB_MODE=offline")
        self._tracker = _everywhere(WandBTracker)(
            self._settings.project,
            id=self._known or self._run,
            name=self._called,
            resume="allow",
            reinit="create_new",  # whoever calls may have a run of their own
            config=dict(config),
            dir=os.environ.get("WANDB_DIR") or str(self._folder),
            settings=wandb.Settings(console="off", disable_git=True, save_code=False, silent=True),
        )
        self._tracker.start()
        run = self._tracker.tracker
        for name, over in VERSION_OF.items():
            run.define_metric(f"{name}/*", step_metric=over)
        return str(run.id), str(run.url or Path(run.dir).absolute().parent)

    def _start_mlflow(self, config: Mapping[str, Any]) -> tuple[str, str]:
        import mlflow
        from accelerate.tracking import MLflowTracker

        artifacts = None
        if not os.environ.get("MLFLOW_TRACKING_URI"):
            mlflow.set_tracking_uri(f"sqlite:///{self._folder.absolute()}/mlflow.db")
            unset: Any = None  # which its annotation does not know
            self._endings.append(lambda: mlflow.set_tracking_uri(unset))  # another run may have another home
            artifacts = (self._folder.absolute() / "artifacts").as_uri()
        self._tracker = _everywhere(MLflowTracker)(
            self._settings.project, logging_dir=artifacts, run_id=self._known, run_name=self._called
        )
        self._tracker.start()
        if self._known is None:
            self._tracker.store_init_configuration(dict(config))
        identity = str(self._tracker.tracker.info.run_id)
        return identity, f"{mlflow.get_tracking_uri()}, run {identity}"

    def _start_trackio(self, config: Mapping[str, Any]) -> tuple[str, str]:
        from accelerate.tracking import TrackioTracker

        self._tracker = _everywhere(TrackioTracker)(
            self._settings.project,
            name=self._known or self._called,
            resume="allow",
            config=dict(config),
            embed=False,
        )
        self._tracker.start()
        name = str(self._tracker.tracker.name)
        return name, f"project {self._settings.project}, run {name}"


def _everywhere(kind: Callable[..., Any]) -> Callable[..., Any]:
    """The tracker's class without accelerate's question whether this is the main process: the driver is."""
    assert isinstance(kind, type)
    return type(kind.__name__, (kind,), {"main_process_only": False})


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    cells = ([cell.replace("|", "\\|").replace("\n", "<br>") for cell in row] for row in rows)
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)
