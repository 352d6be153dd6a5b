"""The configuration's section on experiment trackers."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator

from .section import Section

TrackerName = Literal["tensorboard", "wandb", "mlflow", "trackio"]


class TrackingSettings(Section):
    """Where a run's figures are shown besides. They are the store's, and decide nothing."""

    report_to: Annotated[
        tuple[TrackerName, ...], BeforeValidator(lambda given: (given,) if isinstance(given, str) else given)
    ] = ()
    """Trackers that get what the store holds: curves, win-tie rates with intervals, the funnel, tokens and cost, the
    configuration. Each is an extra (`pip install 'openmic[wandb]'`), and configured by variables of its own."""
    project: str = Field(default="openmic", pattern=r"^[A-Za-z0-9_-]+$", max_length=100)
    """What W&B and Trackio call the project, MLflow the experiment."""
    samples: int = Field(default=100, ge=0)
    """Test inputs that are sent with what each version, and the teacher, made of them. 0: no text is sent."""
    adapters: bool = True
    """Whether adapters are sent, where a tracker takes files (W&B, MLflow and Trackio do)."""

    @field_validator("report_to")
    @classmethod
    def _each_once(cls, names: tuple[TrackerName, ...]) -> tuple[TrackerName, ...]:
        if len(set(names)) < len(names):
            raise ValueError(f"a tracker stands there twice: {', '.join(names)}")
        return names
