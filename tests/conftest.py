"""Tiny students that several rooms test with: saved as ordinary transformers folders, made once per session."""

from pathlib import Path
from typing import Any

import pytest

from . import tiny


@pytest.fixture(scope="session")
def tiny_tokenizer() -> Any:
    """The tokenizer of tiny causal students."""
    return tiny.causal_tokenizer()


@pytest.fixture(scope="session")
def tiny_causal(tiny_tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a causal student."""
    folder = tmp_path_factory.mktemp("students") / "tiny-causal"
    return tiny.save(tiny.llama(tiny_tokenizer), tiny_tokenizer, folder)


@pytest.fixture(scope="session")
def tiny_seq2seq(tiny_tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a sequence-to-sequence student."""
    tokenizer = tiny.seq2seq_tokenizer(tiny_tokenizer)
    return tiny.save(tiny.t5(tokenizer), tokenizer, tmp_path_factory.mktemp("students") / "tiny-seq2seq")
