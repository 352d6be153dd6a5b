"""A folder in which what the documents show runs in seconds and without a network.

It holds `examples/`, `recipes/` and a finished run in `openmic-data/`, whose folder can also be found as
`openmic-data/runs/RUN`. A tiny student takes the place of the packaged weights and of their hub id, and the environment
makes every run small, as configuration reads it anyway (`OPENMIC_A__B` sets a.b).
"""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from openmic.training.student.packaged_weights import PACKAGED

from ..whole_run import clean_environment, finished_run, write_config
from .blocks import ROOT

HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"


@dataclass(frozen=True)
class Workplace:
    """Where a document's Python runs, and the environment it runs in."""

    folder: Path
    environment: dict[str, str]


def small(folder: Path, student: Path) -> dict[str, str]:
    """The settings of small runs of a tiny student as environment variables; inputs stay those of the file."""
    values = yaml.safe_load(write_config(folder, student).read_text(encoding="utf-8"))
    flat = {"OPENMIC_TASK": str(folder / "lenient.yaml"), "OPENMIC_INPUTS__LIMIT": str(values["inputs"]["limit"])}
    for section, settings in values.items():
        if isinstance(settings, dict) and section != "inputs":
            flat |= {f"OPENMIC_{section}__{key}".upper(): json.dumps(value) for key, value in settings.items()}
    flat["OPENMIC_IMITATION__MAX_LENGTH"] = "512"  # the tiny tokenizer takes many tokens for a word
    return flat


def into_caches(student: Path, cache: Path) -> dict[str, str]:
    """Put the student where the packaged weights, and the hub's, are looked for."""
    for name in PACKAGED:
        shutil.copytree(student, cache / "openmic" / "weights" / name)
    repository = cache / "hub" / f"models--{HUB_ID.replace('/', '--')}"
    shutil.copytree(student, repository / "snapshots" / "tiny")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("tiny", encoding="utf-8")
    return {"OPENMIC_CACHE": str(cache / "openmic"), "HF_HUB_CACHE": str(cache / "hub"), "HF_HUB_OFFLINE": "1"}


@pytest.fixture
def workplace(tiny_causal: Path, tmp_path: Path) -> Workplace:
    """A folder of one's own with a finished run in it."""
    folder = tmp_path / "work"
    shutil.copytree(finished_run(tiny_causal).home, folder / "openmic-data")
    for shown in ("examples", "recipes"):
        (folder / shown).symlink_to(ROOT / shown)
    [run] = (folder / "openmic-data" / "runs").iterdir()
    (run.parent / "RUN").symlink_to(run.name)
    paths = [str(ROOT / "src"), str(ROOT)]
    environment = clean_environment(
        PYTHONPATH=os.pathsep.join(paths),
        TOKENIZERS_PARALLELISM="false",
        **small(tmp_path / "small", tiny_causal),
        **into_caches(tiny_causal, tmp_path / "cache"),
    )
    return Workplace(folder, environment)
