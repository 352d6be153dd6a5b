"""Reward models and classifiers as scorers: what they say, how they are asked, and where they run."""

import asyncio
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from openmic.core.errors import ConfigError
from openmic.core.plugs import Plug
from openmic.core.records import Input
from openmic.evaluation.scorers import as_scorer, load_scorer
from openmic.training.scoring.classifier import Given, SequenceClassifier
from openmic.training.scoring.reward_model import RewardModel

from ... import tiny

SOURCE = "The printer in the office stopped working."
OUTPUTS = [
    "The printer stopped working, and it has hired a lawyer.",
    "The office went home.",
    "It is what it is, and so on and so forth, until the meeting was over and the printer had been forgotten.",
]


@pytest.fixture(scope="module")
def reward(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One output, and a tokenizer with a chat template and no padding token."""
    tokenizer = tiny.causal_tokenizer()
    return str(tiny.save(tiny.reward_model(tokenizer), tokenizer, tmp_path_factory.mktemp("reward")))


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Three labels, and a tokenizer for pairs of texts."""
    tokenizer = tiny.seq2seq_tokenizer(tiny.causal_tokenizer())
    model = tiny.classifier(tokenizer, "dull", "funny", "rude")
    return str(tiny.save(model, tokenizer, tmp_path_factory.mktemp("classifier")))


def scores(scorer: Any, source: Input = SOURCE, outputs: Sequence[str] = OUTPUTS) -> list[float]:
    return asyncio.run(as_scorer(scorer).score(source, outputs))


def logits(folder: str, *texts: str, **more: Any) -> list[float]:
    """What the model says of one text, or pair of texts, without any batch."""
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    with torch.inference_mode():
        found: list[float] = (
            model(**AutoTokenizer.from_pretrained(folder)(*texts, return_tensors="pt", **more)).logits[0].tolist()
        )
    return found


def chat(source: str, output: str) -> str:
    return f"<|im_start|>user\n{source}<|im_end|>\n<|im_start|>assistant\n{output}<|im_end|>\n"


@pytest.mark.parametrize("batch_size", [1, 2, 16])
def test_one_output_is_the_score_whatever_shares_its_batch(reward: str, batch_size: int) -> None:
    alone = [logits(reward, chat(SOURCE, output), add_special_tokens=False)[0] for output in OUTPUTS]
    assert len(set(alone)) == 3
    assert scores(RewardModel(reward, actor=False, batch_size=batch_size)) == pytest.approx(alone, abs=1e-4)


def test_a_label_is_scored_by_its_log_odds_or_its_probability(classifier: str) -> None:
    probabilities = []
    for output in OUTPUTS:
        parts = [math.exp(value) for value in logits(classifier, SOURCE, output)]
        probabilities.append(parts[1] / sum(parts))
    odds = [math.log(p / (1 - p)) for p in probabilities]
    assert scores(RewardModel(classifier, actor=False, label="funny")) == pytest.approx(odds, abs=1e-4)
    assert scores(RewardModel(classifier, actor=False, label=1)) == pytest.approx(odds, abs=1e-4)
    probable = RewardModel(classifier, actor=False, label="funny", probability=True)
    assert scores(probable) == pytest.approx(probabilities, abs=1e-4)


def test_labels_that_do_not_exclude_each_other_are_scored_each_for_itself(tmp_path: Path) -> None:
    tokenizer = tiny.seq2seq_tokenizer(tiny.causal_tokenizer())
    model = tiny.classifier(tokenizer, "funny", "rude", problem_type="multi_label_classification")
    folder = str(tiny.save(model, tokenizer, tmp_path))
    wanted = [logits(folder, SOURCE, output)[1] for output in OUTPUTS]
    assert scores(RewardModel(folder, actor=False, label="rude")) == pytest.approx(wanted, abs=1e-4)


def test_a_template_makes_one_text_of_input_and_output(reward: str) -> None:
    wanted = [logits(reward, f"Q: {SOURCE} {{A}}: {output}")[0] for output in OUTPUTS]
    model = RewardModel(reward, actor=False, template="Q: {input} {{A}}: {output}")
    assert scores(model) == pytest.approx(wanted, abs=1e-4)


def test_a_template_knows_the_fields_of_an_input(reward: str) -> None:
    fields = {"question": "Why {this}?", "context": "Because."}
    wanted = [logits(reward, f"Because. Why {{this}}? {output}")[0] for output in OUTPUTS]
    model = RewardModel(reward, actor=False, template="{context} {question} {output}")
    assert scores(model, fields) == pytest.approx(wanted, abs=1e-4)


def test_what_is_too_long_is_cut_and_scored(reward: str, classifier: str) -> None:
    for model in (
        RewardModel(reward, max_length=4096, actor=False),
        RewardModel(classifier, label="dull", max_length=12, actor=False),
    ):
        assert len(scores(model, SOURCE * 60, [OUTPUTS[0] * 60, "", OUTPUTS[1]])) == 3


def test_calls_that_come_together_share_a_batch(reward: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    score: Callable[[SequenceClassifier, Sequence[Given]], list[float]] = SequenceClassifier.score

    def counted(self: SequenceClassifier, given: Sequence[Given]) -> list[float]:
        sizes.append(len(given))
        return score(self, given)

    monkeypatch.setattr(SequenceClassifier, "score", counted)
    model = RewardModel(reward, actor=False, batch_size=8)

    async def work() -> list[list[float]]:
        return await asyncio.gather(*(model(SOURCE, [output, output]) for output in OUTPUTS * 2))

    found = asyncio.run(work())
    assert sizes == [8, 4]
    assert [first for first, _ in found[:3]] == pytest.approx(scores(RewardModel(reward, actor=False)), abs=1e-4)


def test_it_is_used_again_in_another_event_loop_and_after_it_was_closed(reward: str) -> None:
    model = RewardModel(reward, actor=False)
    before = scores(model)
    assert scores(model) == before
    model.close()
    assert scores(model) == before


def test_a_call_that_is_given_up_leaves_the_others_theirs(reward: str) -> None:
    model = RewardModel(reward, actor=False)

    async def work() -> list[float]:
        kept, given_up = asyncio.create_task(model(SOURCE, OUTPUTS)), asyncio.create_task(model(SOURCE, OUTPUTS))
        await asyncio.sleep(0.01)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        return await kept

    assert asyncio.run(work()) == scores(model)


@pytest.mark.usefixtures("ray_running")
def test_with_ray_the_weights_are_in_an_actor_of_their_own(reward: str, monkeypatch: pytest.MonkeyPatch) -> None:
    here = scores(RewardModel(reward, actor=False))

    driver, score = os.getpid(), SequenceClassifier.score

    def elsewhere(self: SequenceClassifier, given: Sequence[Given]) -> list[float]:
        assert os.getpid() != driver
        return score(self, given)

    monkeypatch.setattr(SequenceClassifier, "score", elsewhere)
    monkeypatch.chdir(Path(reward).parent)  # which is not where the actor is
    for folder in (reward, Path(reward).name):
        model = RewardModel(folder, batch_size=2)
        assert scores(model) == pytest.approx(here, abs=1e-4)
        model.close()
    with pytest.raises(ConfigError, match="cannot be opened"):
        scores(RewardModel(str(Path(reward) / "nowhere")))


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"model": "no/such/folder"}, r"'no/such/folder' cannot be opened"),
        ({"model": "CLASSIFIER"}, r"has the labels dull, funny, rude; say which is good with label"),
        ({"model": "CLASSIFIER", "label": "witty"}, r"has no label 'witty', only dull, funny, rude"),
        ({"model": "CLASSIFIER", "label": 3}, r"has no label 3, only dull, funny, rude"),
        ({"model": "REWARD", "label": "good"}, r"has one output, the score; leave label and probability out"),
    ],
)
def test_what_cannot_score_is_said_before_any_weights_are_loaded(
    kwargs: dict[str, Any], message: str, reward: str, classifier: str
) -> None:
    folders = {"REWARD": reward, "CLASSIFIER": classifier}
    plug = Plug(use="reward_model", kwargs={**kwargs, "model": folders.get(kwargs["model"], kwargs["model"])})
    scorer = load_scorer(plug, where="evaluation.scorers.0")
    with pytest.raises(ConfigError, match=f"^reward_model: .*{message}"):
        asyncio.run(scorer.check(SOURCE))
    with pytest.raises(ConfigError, match=f"^reward_model: .*{message}"):
        asyncio.run(scorer.score(SOURCE, OUTPUTS))


def test_a_folder_that_is_no_classifier_is_refused(tmp_path: Path) -> None:
    tokenizer = tiny.causal_tokenizer()
    folder = tiny.save(tiny.llama(tokenizer), tokenizer, tmp_path)
    with pytest.raises(ConfigError, match="is a LlamaForCausalLM; a scorer takes a model that was saved as"):
        RewardModel(str(folder)).check()


def test_weights_without_the_head_of_a_classifier_are_refused(tmp_path: Path, reward: str) -> None:
    tokenizer = tiny.causal_tokenizer()
    folder = tiny.save(tiny.reward_model(tokenizer).model, tokenizer, tmp_path)
    (folder / "config.json").write_text((Path(reward) / "config.json").read_text())
    with pytest.raises(ConfigError, match=r"was not saved as a classifier: it lacks score\.weight"):
        scores(RewardModel(str(folder), actor=False))


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"batch_size": 0}, "too small"),
        ({"template": "only {input}"}, r"has no \{output\}"),
        ({"template": "{question} alone"}, r"has no \{output\}"),
        ({"template": "{output} {"}, "cannot be filled"),
        ({"template": "{output} {0}"}, "cannot be filled"),
    ],
)
def test_settings_that_mean_nothing_are_refused(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RewardModel("anything", **kwargs)
