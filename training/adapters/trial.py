"""Trying a student before anybody is paid: all that would fail later, without a weight in memory.

The model is made on the device `meta`, where tensors have shapes and no numbers, so that this takes as long for a large
model as for a small one.
"""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...core.errors import ConfigError, StudentError
from ...core.records import Message
from ...core.student_settings import StudentSettings, StudentWeights
from ...core.training_settings import LoRASettings
from ..student.packaged_weights import PACKAGED
from ..student.quantization import check_quantization
from ..student.student import LoadedStudent, opening, quieten_transformers, source_of, student_elsewhere
from ..student.template import render_conversation
from ..student.tokenization import render_prompt
from ..student.weights import check_weights
from .lora import adapted, linear_names

_USER = Message(role="user", content="Say something.")
_TRIED = (
    (_USER,),
    (Message(role="system", content="Be brief."), _USER, Message(role="assistant", content="Something."), _USER),
)


def try_student(settings: StudentSettings, lora: LoRASettings, *, adapts_output: bool = True) -> LoadedStudent:
    """Try a student: its tokenizer and template, an end to its texts, its weights, and an adapter around it.

    Args:
        settings: The student's.
        lora: The adapter's.
        adapts_output: Whether its engine takes adapters that change the output layer.

    Returns:
        The student with a model on the device `meta`, to render prompts with.

    Raises:
        StudentError: there is no such student, its chat template refuses every conversation or leaves out what is said,
            it has no end of sequence, or its weights are pickled or not whole.
        ConfigError: `training.lora` asks for what cannot be put around it.
    """
    check_quantization(settings)
    student = student_elsewhere(settings, settings.chat_template_kwargs)
    for messages in _TRIED:
        render_prompt(student, messages)
        if student.kind == "causal" and student.tokenizer.chat_template:
            _refuse_deaf(student, messages)
    student = replace(student, model=_empty_model(student, settings), device="meta")
    folder = _folder_of(settings)
    if folder is not None:
        check_weights(settings.model, folder, student.model, pickled=settings.pickled_weights)
    trained = _try_adapter(student, lora)
    head = student.model.get_output_embeddings()
    output = next((name for name, module in student.model.named_modules() if module is head), None)
    if not adapts_output and output is not None and any(f".{output}." in name for name in trained):
        raise ConfigError(
            f"training.lora.target_modules names the output layer {output!r}, which the engine continuous computes for "
            "some tokens alone; leave it out, or set student.engine to static"
        )
    return student


def _refuse_deaf(student: LoadedStudent, messages: Sequence[Message]) -> None:
    """Raise StudentError for a chat template that leaves out what the student is asked."""
    text = render_conversation(student.tokenizer, messages, student.template_kwargs, name=student.name)
    if any(message.content not in text for message in messages if message.role != "assistant"):
        raise StudentError(
            f"the chat template of {student.name!r} leaves out what is said in a conversation, so that the student "
            "would never hear of an input; take another student.model, or mend its chat_template"
        )


def _empty_model(student: LoadedStudent, weights: StudentWeights) -> Any:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

    quieten_transformers()
    make: Any = AutoModelForCausalLM if student.kind == "causal" else AutoModelForSeq2SeqLM  # it is untyped there
    try:
        with torch.device("meta"):
            config = AutoConfig.from_pretrained(source_of(student.name), **opening(weights))
            return make.from_config(config, trust_remote_code=weights.trust_remote_code)
    except Exception as error:  # a config.json may say anything, and every architecture reads it for itself
        raise StudentError(
            f"student.model {student.name!r} cannot be made from its config.json ({type(error).__name__}: {error})"
        ) from error


def _folder_of(weights: StudentWeights) -> Path | None:
    """Where a student's files are: a folder, converted weights, or all that was downloaded of a hub's; else None."""
    name = weights.model
    source = source_of(name)
    if name in PACKAGED or Path(source).is_dir():
        return Path(source)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(name, revision=weights.revision, local_files_only=True))
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError, ValueError):
        return None
    # What is not there will be downloaded, by whoever loads it.
    return folder if any(folder.glob("*.safetensors")) and not any(folder.glob("*.index.json")) else None


def _try_adapter(student: LoadedStudent, lora: LoRASettings) -> list[str]:
    """The names of what would be trained."""
    available = linear_names(student.model)
    if not isinstance(lora.target_modules, str):
        names = [name for name, _ in student.model.named_modules()]
        unknown = [each for each in lora.target_modules if not any(n == each or n.endswith(f".{each}") for n in names)]
        if unknown:
            raise ConfigError(_no_such(student, ", ".join(unknown), available))
    elif lora.target_modules != "all-linear" and lora.last_layers is not None:
        raise ConfigError(
            "training.lora.last_layers needs target_modules that are named one by one, or all-linear, and no pattern "
            f"({lora.target_modules}); give a list, or leave last_layers out"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the training will say so
            model = adapted(student, lora, seed=0)
    except Exception as error:  # PEFT refuses in many ways
        if "not found in the base model" in str(error):
            raise ConfigError(_no_such(student, str(lora.target_modules), available)) from error
        raise ConfigError(
            f"training.lora: no adapter can be put around student.model {student.name!r}: {error}"
        ) from error
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    model.unload()
    return trained


def _no_such(student: LoadedStudent, wanted: str, available: list[str]) -> str:
    return (
        f"training.lora.target_modules: student.model {student.name!r} has no module {wanted}; name some of "
        f"{', '.join(available)}, or all-linear"
    )
