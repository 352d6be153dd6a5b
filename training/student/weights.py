"""Whether a student's weights are all there, seen without loading them: a truncated download costs a second, not a run.

Of safetensors the headers are read, which say how long a file must be, what tensors are in it and of what shape.
"""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...core.errors import StudentError

SAFE, PICKLED = "model.safetensors", "pytorch_model.bin"
Shapes = dict[str, tuple[int, ...]]


def refuse_pickled(name: str, folder: Path) -> None:
    """Raise StudentError where a folder's weights are pickled, which may hold code, and not in safetensors."""
    safe, pickled = (
        any((folder / file).is_file() for file in (kind, f"{kind}.index.json")) for kind in (SAFE, PICKLED)
    )
    if pickled and not safe:
        raise StudentError(
            f"the weights of student.model {name!r} are pickled ({PICKLED}), a format that can hold code: save the "
            "model again, which writes safetensors, or set student.pickled_weights (in Python student={'model': …, "
            "'pickled_weights': True}) if you trust whoever made them"
        )


def check_weights(name: str, folder: Path, model: Any, *, pickled: bool = False) -> None:
    """Look whether the files in a folder hold all weights of a model.

    Args:
        name: What `student.model` says, for errors.
        folder: A model's folder, as transformers saves it.
        model: The model that they are for; its tensors may be on the device `meta`.
        pickled: Whether they may be pickled.

    Raises:
        StudentError: they are pickled, a file is missing, cut off or unreadable, or tensors are missing or of another
            shape.
    """
    if not pickled:
        refuse_pickled(name, folder)
    for kind in (SAFE, PICKLED):
        index = folder / f"{kind}.index.json"
        if (folder / kind).is_file():
            files: dict[str, list[str]] = {kind: []}
        elif index.is_file():
            files = _indexed(name, index)
        else:
            continue
        found: Shapes = {}
        for file, listed in files.items():
            shapes = _shapes(name, folder / file)
            if lacking := sorted(set(listed) - shapes.keys()) if shapes else []:
                raise StudentError(_incomplete(name, f"{file} lacks the tensor {lacking[0]!r}"))
            found |= shapes
        _compare(name, found, model)
        return
    raise StudentError(
        f"student.model {name!r} holds no weights: there is neither {SAFE} nor {PICKLED}, nor an index of either; "
        "name a folder with a whole model, or download it again"
    )


def _indexed(name: str, index: Path) -> dict[str, list[str]]:
    """The tensors that each file is to hold."""
    try:
        placed: Mapping[str, str] = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        files: dict[str, list[str]] = {}
        for tensor, file in placed.items():
            files.setdefault(file, []).append(tensor)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StudentError(_incomplete(name, f"{index.name} cannot be read")) from error
    missing = sorted(file for file in files if not (index.parent / file).is_file())
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise StudentError(_incomplete(name, f"{missing[0]}{more} of {len(files)} files is missing"))
    return files


def _shapes(name: str, path: Path) -> Shapes:
    """The tensors of a file; of a pickled one nothing, which is only seen to have its end."""
    if path.suffix != ".safetensors":
        with path.open("rb") as file:
            zipped = file.read(4) == b"PK\x03\x04"
        if path.stat().st_size == 0 or (zipped and not zipfile.is_zipfile(path)):
            raise StudentError(_incomplete(name, f"{path.name} is cut off"))
        return {}
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as opened:
            return {key: tuple(opened.get_slice(key).get_shape()) for key in opened.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError) as error:
        raise StudentError(_incomplete(name, f"{path.name} is cut off or damaged ({error})")) from error


def _compare(name: str, found: Shapes, model: Any) -> None:
    wanted = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    for key in found.keys() & wanted.keys():
        if found[key] != wanted[key]:
            raise StudentError(
                f"the weights of student.model {name!r} do not fit its config.json: {key!r} is {list(found[key])} and "
                f"should be {list(wanted[key])}; were files of two models mixed? Download it again"
            )
    # Older files have names of their own, which transformers translates: only where all are known can any be missed.
    if not found or not found.keys() <= wanted.keys():
        return
    same: dict[int, list[str]] = {}
    for key, parameter in model.named_parameters(remove_duplicate=False):
        same.setdefault(id(parameter), []).append(key)
    lacking = [keys[0] for keys in same.values() if not found.keys() & set(keys)]
    if lacking:
        more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
        raise StudentError(_incomplete(name, f"the tensor {lacking[0]!r}{more} is missing"))


def _incomplete(name: str, what: str) -> str:
    return f"the weights of student.model {name!r} are not whole: {what}; download or save the model again"
