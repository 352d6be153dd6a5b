"""An adapter merged into its base's weights: a folder that transformers, vLLM and others open without PEFT."""

import gc
import json
from pathlib import Path
from typing import Any

from ...core.errors import StudentError
from ...core.student_settings import StudentWeights
from ...core.training_settings import LoRASettings
from ..adapters.lora import adapted
from ..student.fingerprint import ANY_FILES, KnownFiles
from ..student.student import load_student, open_tokenizer, opening, source_of

_HALVES = {"bfloat16", "float16"}


def stored_dtype(weights: StudentWeights) -> str:
    """The number format in which a base model is published, as its config.json says; float32 where that is none."""
    from transformers import AutoConfig

    config: Any = AutoConfig.from_pretrained(source_of(weights.model), **opening(weights))
    name = str(getattr(config, "dtype", None) or "").removeprefix("torch.")
    return name if name in _HALVES else "float32"


def merge(
    weights: StudentWeights, adapter: Path, target: Path, *, dtype: str, device: str, known: KnownFiles = ANY_FILES
) -> None:
    """Write base and adapter as one model, with its tokenizer, into a folder.

    The base is loaded in whole numbers of its own format even where it was trained around in 4 bits.

    Args:
        weights: The base model's.
        adapter: The folder of a verified adapter.
        target: The folder to write into, made if need be.
        dtype: The number format to write; `auto` is that of the published base.
        device: Where to compute.
        known: The files that the base's weights are; others are refused.

    Raises:
        StudentChangedError: they are others.
        StudentError: the base cannot be loaded, or takes no merged adapter.
        AdapterError: the adapter does not fit it.
    """
    wanted = stored_dtype(weights) if dtype == "auto" else dtype
    whole = weights.model_copy(update={"dtype": wanted, "quantization": None})
    with known.kept(weights):
        student = load_student(whole, device=device)
    model = adapted(student, LoRASettings(), seed=0, start=adapter)
    try:
        merged = model.merge_and_unload(safe_merge=True)
    except (ValueError, NotImplementedError) as error:
        raise StudentError(
            f"the adapter cannot be merged into {student.name!r}: {error}; export it as it is"
        ) from error
    merged.save_pretrained(target, safe_serialization=True)
    # Not the one in memory, which was given a token to pad with.
    open_tokenizer(source_of(weights.model), weights).save_pretrained(target)
    _forget_places(target)
    del student, model, merged
    gc.collect()


def _forget_places(folder: Path) -> None:
    """Take out of what was written where it was read from."""
    for name in ("config.json", "tokenizer_config.json", "generation_config.json"):
        path = folder / name
        if not path.is_file():
            continue
        values = json.loads(path.read_text(encoding="utf-8"))
        kept = {key: value for key, value in values.items() if key not in {"_name_or_path", "name_or_path"}}
        if kept != values:
            path.write_text(json.dumps(kept, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
