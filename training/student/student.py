"""Opening a student: where its weights are, what kind of model it is, and loading it.

`inspect_student` reads the configuration alone, so that a wrong name costs a second and not a download.
"""

import inspect
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Literal

from ...core.errors import StudentError
from ...core.section import from_home
from .device import check_device, prepare_device
from .ends import end_tokens
from .hub import prepare_hub
from .packaged_weights import PACKAGED, check_packaged, packaged_folder
from .weights import refuse_pickled

StudentKind = Literal["causal", "seq2seq"]

NO_LANGUAGE_MODEL = ("EncoderModel", "ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering")
"""Endings of architectures whose weights lack what generates text, though their family has it."""


@dataclass(frozen=True, slots=True)
class StudentInfo:
    """What is known of a student before its weights are loaded."""

    name: str
    kind: StudentKind
    architecture: str
    note: str = ""
    """What a reader of its results should know about the weights, such as a lossy conversion."""


@dataclass(frozen=True, slots=True)
class LoadedStudent:
    """A student in memory: base model (no adapter), tokenizer, and where its tensors live."""

    name: str
    kind: StudentKind
    model: Any
    tokenizer: Any
    device: str
    template_kwargs: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """What its chat template is given besides the conversation."""
    ends: tuple[int, ...] = ()
    """The tokens that end a text, the one that it learns to end with first. Left out: what tokenizer and model say."""
    positions: int | None = None
    """The most tokens that it tells the places of, prompt included; None where it counts distances alone. Left out:
    what the model says."""

    def __post_init__(self) -> None:
        if not self.ends:
            config = getattr(self.model, "generation_config", None)
            ends = end_tokens(self.tokenizer, config, self.template_kwargs)
            object.__setattr__(self, "ends", ends)
        if self.positions is None and self.model is not None:
            object.__setattr__(self, "positions", _positions(self.model.config))
        if self.tokenizer.pad_token_id is None and self.ends:
            self.tokenizer.pad_token_id = self.ends[0]


def inspect_student(name: str) -> StudentInfo:
    """Say what kind of model `name` (a packaged name, a folder or a hub id) is, without loading its weights.

    Raises:
        StudentError: there is no such model, or its architecture generates no text.
    """
    if not isinstance(name, str | Path):
        raise StudentError(f"student.model: {name!r:.80} is no name; give a folder, a hub id or packaged weights")
    name = from_home(name)
    if name in PACKAGED:
        check_packaged(name)
        return StudentInfo(name, "causal", "LlamaForCausalLM", PACKAGED[name].note)
    if _looks_like_path(name) and not Path(name).is_dir():
        raise StudentError(
            f"student.model {name!r} is not a folder; give a folder, a hub id, or one of {sorted(PACKAGED)}"
        )
    from transformers import AutoConfig

    quieten_transformers()
    trouble = prepare_hub(name)
    try:
        config = AutoConfig.from_pretrained(name, trust_remote_code=False)
    except (OSError, ValueError) as error:
        reason = trouble or str(error).strip().splitlines()[0]
        raise StudentError(
            f"student.model {name!r} cannot be opened ({reason}); give a folder with a config.json, a hub id, "
            f"or one of {sorted(PACKAGED)}"
        ) from error
    kind, architecture = _kind_of(name, config)
    return StudentInfo(name, kind, architecture)


def load_student(
    name: str,
    *,
    device: str = "auto",
    template_kwargs: Mapping[str, Any] | None = None,
    pickled: bool = False,
    announce: Callable[[str], None] = lambda _: None,
) -> LoadedStudent:
    """Load the base model and its tokenizer, in float32 on a CPU and in bfloat16 on a GPU.

    Args:
        name: A packaged name, a folder or a hub id.
        device: As for `resolve_device`.
        template_kwargs: What its chat template is given besides the conversation.
        pickled: Whether its weights may be pickled, which can hold code; else they are read from safetensors alone.
        announce: Told of packaged weights that have to be converted first.

    Raises:
        StudentError: as `inspect_student`, or the weights are pickled or do not load, or nothing ends its texts.
        ConfigError: this machine has no such device.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    name = from_home(name)
    info = inspect_student(name)
    check_device(device)
    prepare_device()
    quieten_transformers()
    source = str(packaged_folder(name, announce)) if name in PACKAGED else name
    where = resolve_device(device)
    dtype = torch.bfloat16 if where.startswith("cuda") else torch.float32
    loader = AutoModelForCausalLM if info.kind == "causal" else AutoModelForSeq2SeqLM
    if not pickled:
        refuse_pickled(name, Path(source))
    safe = None if pickled else True
    try:
        tokenizer = open_tokenizer(source)
        model: Any = loader.from_pretrained(source, dtype=dtype, trust_remote_code=False, use_safetensors=safe)
    except UnpicklingError as error:
        raise StudentError(
            f"the weights of student.model {name!r} hold more than numbers, and code that comes with a model is never "
            "run: save the model again, which writes safetensors"
        ) from error
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise StudentError(f"the weights of student.model {name!r} do not load: {error}") from error
    return _ending(LoadedStudent(name, info.kind, model.to(where).eval(), tokenizer, where, template_kwargs or {}))


def load_tokenizer(name: str) -> Any:
    """The tokenizer alone.

    Raises:
        StudentError: as `inspect_student`, or the tokenizer does not load.
    """
    inspect_student(name)
    return _opened_tokenizer(name)


def _opened_tokenizer(name: str) -> Any:
    try:
        return open_tokenizer(source_of(name))
    except (OSError, ValueError) as error:
        raise StudentError(f"the tokenizer of student.model {name!r} does not load: {error}") from error


def student_elsewhere(name: str, template_kwargs: Mapping[str, Any] | None = None) -> LoadedStudent:
    """A student that is served elsewhere: its tokenizer and what ends its texts, and no model.

    Raises:
        StudentError: as `load_tokenizer`, or nothing ends its texts.
    """
    from transformers import AutoConfig, GenerationConfig

    info, kwargs = inspect_student(name), template_kwargs or {}
    tokenizer = _opened_tokenizer(name)
    config = AutoConfig.from_pretrained(source_of(name), trust_remote_code=False)
    ending: Any
    try:
        ending = GenerationConfig.from_pretrained(source_of(name))
    except OSError:  # an older model says it in its config.json
        ending = config.get_text_config()
    ends = end_tokens(tokenizer, ending, kwargs)
    return _ending(LoadedStudent(name, info.kind, None, tokenizer, "elsewhere", kwargs, ends, _positions(config)))


def _ending(student: LoadedStudent) -> LoadedStudent:
    """The student, whose texts end; without that it could neither be trained nor stop."""
    if not student.ends:
        raise StudentError(
            f"student.model {student.name!r} has no end-of-sequence token, so its texts would never end: set "
            "eos_token in its tokenizer_config.json, or eos_token_id in its generation_config.json"
        )
    return student


def source_of(name: str) -> str:
    """What transformers opens the student by: a folder or a hub id. Packaged weights are converted first."""
    name = from_home(name)
    return str(packaged_folder(name)) if name in PACKAGED else name


def resolve_device(device: str) -> str:
    """`auto` becomes `cuda` where there is one, else `cpu`; anything else is taken as it is."""
    if device != "auto":
        return device
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def accepted_inputs(model: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the inputs that the model's forward takes: not every architecture has position ids, for instance."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    parameters = inspect.signature(base.forward).parameters
    return {name: value for name, value in inputs.items() if name in parameters}


def sees_whole_text(model: Any) -> bool:
    """Whether each layer attends to all that came before, and none to a window of it."""
    config = model.config.get_text_config()
    kinds = getattr(config, "layer_types", None)
    return set(kinds) == {"full_attention"} if kinds else getattr(config, "sliding_window", None) is None


def _positions(config: Any) -> int | None:
    return getattr(config.get_text_config(), "max_position_embeddings", None)


def open_tokenizer(source: str) -> Any:
    """The tokenizer of a folder or a hub id, with a token to pad with. Raises OSError or ValueError."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    if tokenizer.pad_token_id is None and tokenizer.eos_token_id is not None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _kind_of(name: str, config: Any) -> tuple[StudentKind, str]:
    """The kind, by the architecture that the weights were saved as first: encoders have causal classes too."""
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
    )

    model_type = getattr(config, "model_type", "")
    architectures = list(getattr(config, "architectures", None) or [])
    seq2seq = MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES.get(model_type)
    causal = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(model_type)
    headless = bool(architectures) and all(a.endswith(NO_LANGUAGE_MODEL) for a in architectures)
    if config.is_encoder_decoder and seq2seq and not headless:
        return "seq2seq", str(seq2seq)
    decoder_only = not architectures or any(a.endswith(("ForCausalLM", "LMHeadModel")) for a in architectures)
    if causal and not config.is_encoder_decoder and decoder_only:
        return "causal", str(causal)
    found = ", ".join(architectures) or model_type or "unknown"
    raise StudentError(
        f"student.model {name!r} is neither a causal nor a sequence-to-sequence language model (it is {found}); "
        f"take one that generates text, such as {sorted(PACKAGED)[0]!r}"
    )


def _looks_like_path(name: str) -> bool:
    return name.startswith((".", "/", "~")) or name.count("/") > 1 or Path(name).exists()


def quieten_transformers() -> None:
    """Its bars and notes would tear openmic's own progress display."""
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers leaves it untyped
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # as above
    # PEFT asks every model for an attribute that transformers has renamed.
    warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
