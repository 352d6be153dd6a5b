import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from openmic.core.records import AdapterRef
from openmic.training.adapters.adapters import commit_adapter
from openmic.training.engines.tiny_student import random_adapter
from openmic.training.student.student import LoadedStudent, load_student

from .. import tiny

BuildStudent = Callable[[str], LoadedStudent]
"""A fresh copy of a student: `llama`, `gpt2`, `t5` or `bart`."""


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Models this small are slower on several threads, above all where other work wants the cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def loaded(tiny_causal: Path, tiny_seq2seq: Path) -> dict[str, LoadedStudent]:
    """One student per way of telling positions apart."""
    llama, t5 = load_student(str(tiny_causal), device="cpu"), load_student(str(tiny_seq2seq), device="cpu")
    gpt2, bart = tiny.gpt2(llama.tokenizer), tiny.bart(t5.tokenizer)
    return {
        "llama": llama,
        "gpt2": LoadedStudent("tiny-gpt2", "causal", gpt2, llama.tokenizer, "cpu"),
        "t5": t5,
        "bart": LoadedStudent("tiny-bart", "seq2seq", bart, t5.tokenizer, "cpu"),
    }


@pytest.fixture
def student(loaded: dict[str, LoadedStudent]) -> BuildStudent:
    """Makes a fresh copy of a student, since PEFT changes the model that it is put around."""

    def build(name: str) -> LoadedStudent:
        one = loaded[name]
        return LoadedStudent(one.name, one.kind, copy.deepcopy(one.model), one.tokenizer, one.device)

    return build


@pytest.fixture(scope="session")
def adapters(loaded: dict[str, LoadedStudent], tmp_path_factory: pytest.TempPathFactory) -> list[AdapterRef]:
    """Four committed adapters of the llama student: versions 1 to 4 at places 0 to 3. Not to be altered."""
    root = tmp_path_factory.mktemp("adapters")
    model = loaded["llama"].model
    return [
        commit_adapter(random_adapter(model, "causal", seed=version), root, version, {"parent": 0})
        for version in (1, 2, 3, 4)
    ]


@pytest.fixture(scope="session")
def misfit(tiny_tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> AdapterRef:
    """A committed adapter, version 9, of a model with other widths than the llama student's."""
    model = random_adapter(tiny.llama(tiny_tokenizer, hidden_size=48), "causal", seed=9)
    return commit_adapter(model, tmp_path_factory.mktemp("misfit"), 9, {"parent": 0})
