"""A sequence classifier of transformers as a judge of outputs: from (input, output) to one number.

It holds the weights and knows nothing of event loops or Ray; `reward_model` says where it runs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ...core.errors import ConfigError
from ...core.records import Input, input_text
from ..student.device import prepare_device
from ..student.hub import prepare_hub
from ..student.student import quieten_transformers, resolve_device


@dataclass(frozen=True, slots=True)
class ClassifierSettings:
    """Which model it is, and how it is asked."""

    model: str
    """A hub id or a folder."""
    device: str
    batch_size: int
    max_length: int
    """Tokens of input and output together; what is longer loses its beginning, or of a pair the end of the longer."""
    label: str | int | None
    """The label whose log-odds are the score; None where the model has one output."""
    probability: bool
    """Whether to give the label's probability instead."""
    template: str | None
    """How a text is made of `{input}` and `{output}`; None leaves it to the tokenizer."""


class Given(NamedTuple):
    """An output to score, with its input."""

    source: Input
    output: str


class SequenceClassifier:
    """The weights, and what they say of batches."""

    def __init__(self, settings: ClassifierSettings) -> None:
        """Load the weights from safetensors, in float32 on a CPU and in bfloat16 on a GPU.

        Raises:
            ConfigError: as `inspect_classifier`, or the weights do not load or are not those of a classifier.
        """
        import torch
        from safetensors import SafetensorError
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        self._settings, self._label = settings, inspect_classifier(settings)
        prepare_device()
        device = resolve_device(settings.device)
        dtype = torch.bfloat16 if device.startswith("cuda") else torch.float32
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(settings.model, trust_remote_code=False)
            model, loading = AutoModelForSequenceClassification.from_pretrained(
                settings.model,
                dtype=dtype,
                use_safetensors=True,
                output_loading_info=True,
                trust_remote_code=False,
            )
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise ConfigError(f"reward_model: the weights of {settings.model!r} do not load: {error}") from error
        if loading["missing_keys"]:
            lacking = ", ".join(sorted(loading["missing_keys"])[:3])
            raise ConfigError(f"reward_model: {settings.model!r} was not saved as a classifier: it lacks {lacking}")
        if self._tokenizer.pad_token_id is None and self._tokenizer.eos_token is not None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        self._tokenizer.padding_side = "right"
        model.config.get_text_config().pad_token_id = model.config.pad_token_id = self._tokenizer.pad_token_id
        self._model, self._device = model.to(device).eval(), device
        longest = getattr(model.config.get_text_config(), "max_position_embeddings", None) or settings.max_length
        self._max_length = min(settings.max_length, longest)

    def score(self, given: Sequence[Given]) -> list[float]:
        """One number for each output, of batches of `batch_size`."""
        size = self._settings.batch_size if self._tokenizer.pad_token_id is not None else 1
        return [score for start in range(0, len(given), size) for score in self._of_batch(given[start : start + size])]

    def _of_batch(self, given: Sequence[Given]) -> list[float]:
        import torch

        encoded = self._encoded(given).to(self._device)
        with torch.inference_mode():
            logits = self._model(**encoded).logits.float()
        if self._label is None:
            scores = logits[:, 0]
        else:
            mine = logits[:, self._label]
            if self._model.config.problem_type != "multi_label_classification":
                others = torch.cat([logits[:, : self._label], logits[:, self._label + 1 :]], dim=1)
                mine = mine - torch.logsumexp(others, dim=1)
            scores = torch.sigmoid(mine) if self._settings.probability else mine
        values: list[float] = scores.tolist()
        return values

    def _encoded(self, given: Sequence[Given]) -> Any:
        more: dict[str, Any] = {"padding": len(given) > 1, "truncation": True, "max_length": self._max_length}
        if self._settings.template is not None:
            texts = [fill(self._settings.template, one) for one in given]
        elif self._tokenizer.chat_template:
            texts = [self._tokenizer.apply_chat_template(_chat(one), tokenize=False) for one in given]
            more["add_special_tokens"] = False
        else:
            sources = [input_text(one.source) for one in given]
            self._tokenizer.truncation_side = "right"
            return self._tokenizer(sources, [one.output for one in given], return_tensors="pt", **more)
        self._tokenizer.truncation_side = "left"
        return self._tokenizer(texts, return_tensors="pt", **more)


def inspect_classifier(settings: ClassifierSettings) -> int | None:
    """The place of the label among the model's outputs, None of a model with one output; reads its config alone.

    Raises:
        ConfigError: there is no such model, it is no sequence classifier, or it has no such label.
    """
    from transformers import AutoConfig

    quieten_transformers()
    name = settings.model
    trouble = prepare_hub(name)
    try:
        config = AutoConfig.from_pretrained(name, trust_remote_code=False)
    except (OSError, ValueError) as error:
        reason = trouble or str(error).strip().splitlines()[0]
        raise ConfigError(
            f"reward_model: {name!r} cannot be opened ({reason}); give a folder with a config.json, or a hub id"
        ) from error
    architectures = list(config.architectures or [])
    if not any(kind.endswith("ForSequenceClassification") for kind in architectures):
        raise ConfigError(
            f"reward_model: {name!r} is a {' or '.join(architectures) or config.model_type}; a scorer takes a "
            "model that was saved as a sequence classifier (…ForSequenceClassification)"
        )
    labels = [str(config.id2label[place]) for place in range(config.num_labels)]
    if len(labels) == 1:
        if settings.label is not None or settings.probability:
            raise ConfigError(f"reward_model: {name!r} has one output, the score; leave label and probability out")
        return None
    if settings.label is None:
        raise ConfigError(f"reward_model: {name!r} has the labels {', '.join(labels)}; say which is good with label")
    if isinstance(settings.label, int) and 0 <= settings.label < len(labels):
        return settings.label
    if settings.label not in labels:
        raise ConfigError(f"reward_model: {name!r} has no label {settings.label!r}, only {', '.join(labels)}")
    return labels.index(str(settings.label))


def fill(template: str, given: Given) -> str:
    """The template with `{input}`, `{output}` and the input's fields by name filled in.

    Raises:
        KeyError: it has a field that the input lacks.
    """
    fields = given.source if isinstance(given.source, Mapping) else {}
    return template.format(**{**fields, "input": input_text(given.source), "output": given.output})


def _chat(given: Given) -> list[dict[str, str]]:
    return [{"role": "user", "content": input_text(given.source)}, {"role": "assistant", "content": given.output}]
