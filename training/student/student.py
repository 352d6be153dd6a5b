"""Opening a student: where its weights are, what kind of model it is, and loading it.

`inspect_student` reads the configuration alone, so that a wrong name costs a second and not a download.
"""

import inspect
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from ...core.errors import StudentError
from ...core.section import from_home
from ...core.student_settings import StudentWeights
from .device import check_device, prepare_device
from .ends import end_tokens
from .hub import commit_of, prepare_hub
from .packaged_weights import PACKAGED, check_packaged, packaged_folder
from .quantization import check_quantization, quantized
from .weights import refuse_pickled

if TYPE_CHECKING:  # it takes seconds to import
    import torch

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
    revision: str | None = None
    """The commit of a hub's model, where it can be known."""
    own_code: bool = False
    """Whether it is computed by code that comes with it."""


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


def as_weights(student: str | Path | StudentWeights) -> StudentWeights:
    """What says which weights are meant; of a name, the model of that name.

    Raises:
        StudentError: it is no name.
    """
    if isinstance(student, StudentWeights):
        return student
    if not isinstance(student, str | Path):
        raise StudentError(f"student.model: {student!r:.80} is no name; give a folder, a hub id or packaged weights")
    try:
        return StudentWeights(model=from_home(student))
    except ValidationError as error:
        raise StudentError(f"student.model: {student!r:.80}: {error.errors()[0]['msg']}") from None


def inspect_student(student: str | Path | StudentWeights) -> StudentInfo:
    """Say what kind of model a student is, without loading its weights.

    Args:
        student: A packaged name, a folder or a hub id, or the weights that are meant.

    Raises:
        StudentError: there is no such model, or its architecture generates no text, or code that comes with it would
            have to be run and is not trusted, or fails.
    """
    weights = as_weights(student)
    name = weights.model
    if weights.revision is not None and (name in PACKAGED or Path(name).is_dir()):
        raise StudentError(
            f"student.revision={weights.revision!r} is for hub ids, and student.model {name!r} is "
            f"{'a packaged name' if name in PACKAGED else 'a folder'}; leave it out"
        )
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
        config = AutoConfig.from_pretrained(name, **opening(weights))
    except Exception as error:  # a file may say anything
        reason = trouble or f"{str(error).strip() or type(error).__name__}".splitlines()[0]
        if "custom code" in reason and not weights.trust_remote_code:
            reason += " Set student.trust_remote_code if you trust whoever made it"
        elif weights.revision is not None:
            reason = f"revision {weights.revision}: {reason}"
        raise StudentError(
            f"student.model {name!r} cannot be opened ({reason}); give a folder with a config.json, a hub id, "
            f"or one of {sorted(PACKAGED)}"
        ) from error
    own = _own_code(config) if weights.trust_remote_code else None
    kind, architecture = own or _kind_of(name, config)
    commit = None if Path(name).is_dir() else commit_of(name, weights.revision)
    return StudentInfo(name, kind, architecture, revision=commit, own_code=own is not None)


def opening(weights: StudentWeights) -> dict[str, Any]:
    """What transformers opens each part of a student with, besides its name."""
    revision = {} if weights.revision is None else {"revision": weights.revision}
    return {"trust_remote_code": weights.trust_remote_code, **revision}


def load_student(
    student: str | Path | StudentWeights,
    *,
    device: str = "auto",
    template_kwargs: Mapping[str, Any] | None = None,
    announce: Callable[[str], None] = lambda _: None,
) -> LoadedStudent:
    """Load the base model and its tokenizer.

    Args:
        student: As for `inspect_student`.
        device: As for `resolve_device`.
        template_kwargs: What its chat template is given besides the conversation.
        announce: Told of packaged weights that have to be converted first.

    Raises:
        StudentError: as `inspect_student`, or the weights are pickled or do not load, or nothing ends its texts.
        ConfigError: this machine has no such device, or cannot keep weights in so few bits.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    weights = as_weights(student)
    name = weights.model
    info = inspect_student(weights)
    check_device(device)
    check_quantization(weights)
    prepare_device()
    quieten_transformers()
    source = str(packaged_folder(name, announce)) if name in PACKAGED else name
    where = resolve_device(device)
    dtype = resolve_dtype(weights, where)
    loader = AutoModelForCausalLM if info.kind == "causal" else AutoModelForSeq2SeqLM
    if not weights.pickled_weights:
        refuse_pickled(name, Path(source))
    options = {**opening(weights), **quantized(weights, dtype, where)}
    safe = None if weights.pickled_weights else True
    try:
        tokenizer = open_tokenizer(source, weights)
        model: Any = loader.from_pretrained(source, dtype=dtype, use_safetensors=safe, **options)
    except UnpicklingError as error:
        raise StudentError(
            f"the weights of student.model {name!r} hold more than numbers, and code in weights is never run: save the "
            "model again, which writes safetensors"
        ) from error
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise StudentError(f"the weights of student.model {name!r} do not load: {error}") from error
    except MemoryError:
        raise
    except Exception as error:  # its files may say anything
        what = "the code that comes with" if info.own_code else "what stands in the files of"
        raise StudentError(
            f"{what} student.model {name!r} does not load it: {type(error).__name__}: {error}"
        ) from error
    if weights.quantization is None:  # else it is there already
        model = model.to(where)
    return _ending(LoadedStudent(name, info.kind, model.eval(), tokenizer, where, template_kwargs or {}))


def resolve_dtype(weights: StudentWeights, device: str) -> "torch.dtype":
    """The format that weights are kept in on a device: the one that is named, else bfloat16 on a GPU."""
    import torch

    name = weights.dtype
    if name == "auto":
        name = "bfloat16" if device.startswith("cuda") else "float32"
    found: torch.dtype = getattr(torch, name)
    return found


def load_tokenizer(student: str | Path | StudentWeights) -> Any:
    """The tokenizer alone.

    Raises:
        StudentError: as `inspect_student`, or the tokenizer does not load.
    """
    inspect_student(student)
    return _opened_tokenizer(as_weights(student))


def _opened_tokenizer(weights: StudentWeights) -> Any:
    try:
        return open_tokenizer(source_of(weights.model), weights)
    except Exception as error:  # as above
        words = str(error).strip() or type(error).__name__
        raise StudentError(f"the tokenizer of student.model {weights.model!r} does not load: {words}") from error


def student_elsewhere(
    student: str | Path | StudentWeights, template_kwargs: Mapping[str, Any] | None = None
) -> LoadedStudent:
    """A student that is served elsewhere: its tokenizer and what ends its texts, and no model.

    Raises:
        StudentError: as `load_tokenizer`, or nothing ends its texts.
    """
    from transformers import AutoConfig, GenerationConfig

    info, kwargs, weights = inspect_student(student), template_kwargs or {}, as_weights(student)
    name, tokenizer = weights.model, _opened_tokenizer(weights)
    config = AutoConfig.from_pretrained(source_of(name), **opening(weights))
    ending: Any
    try:
        ending = GenerationConfig.from_pretrained(source_of(name), revision=weights.revision or "main")
    except OSError:  # an older model says it in its config.json
        ending = config.get_text_config()
    except Exception as error:  # as above
        raise StudentError(f"generation_config.json of student.model {name!r} cannot be read: {error}") from error
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


def with_cache(inputs: Mapping[str, Any], cache: Any) -> dict[str, Any]:
    """Inputs with a cache of keys and values under both of its names, of which `accepted_inputs` leaves one.

    transformers 5.24 renamed `past_key_values` to `cache`.
    """
    return {**inputs, "past_key_values": cache, "cache": cache, "use_cache": True}


def cache_of(output: Any) -> Any:
    """The cache in a model's output, by whichever of its names."""
    return output.cache if "cache" in output else output.past_key_values


def sees_whole_text(model: Any) -> bool:
    """Whether each layer attends to all that came before, and none to a window of it."""
    config = model.config.get_text_config()
    kinds = getattr(config, "layer_types", None)
    return set(kinds) == {"full_attention"} if kinds else getattr(config, "sliding_window", None) is None


def _positions(config: Any) -> int | None:
    found = getattr(config.get_text_config(), "max_position_embeddings", None)
    return found if isinstance(found, int) and found > 0 else None


def open_tokenizer(source: str, weights: StudentWeights) -> Any:
    """The tokenizer of a folder or a hub id, with a token to pad with. Raises OSError or ValueError."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(source, **opening(weights))
    if tokenizer.pad_token_id is None and tokenizer.eos_token_id is not None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _own_code(config: Any) -> tuple[StudentKind, str] | None:
    """The kind and class of a model that comes with its code; None for one that does not."""
    given: Mapping[str, Any] = getattr(config, "auto_map", None) or {}
    kinds: dict[str, StudentKind] = {"AutoModelForCausalLM": "causal", "AutoModelForSeq2SeqLM": "seq2seq"}
    return next(((kind, str(given[key]).rpartition(".")[2]) for key, kind in kinds.items() if key in given), None)


def _kind_of(name: str, config: Any) -> tuple[StudentKind, str]:
    """The kind, by the architecture that the weights were saved as first: encoders have causal classes too."""
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
    )

    model_type = getattr(config, "model_type", "")
    architectures = [str(one) for one in getattr(config, "architectures", None) or []]
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
