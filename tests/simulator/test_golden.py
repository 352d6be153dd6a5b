"""What the cast says to a few hundred requests is on record, so that no change of its words goes unnoticed.

Where a change is meant, `python -m tests.simulator.test_golden` writes the record anew; say in the commit why.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openmic.core.ids import content_hash
from openmic.simulator.cloze import CompletionRequest, score
from openmic.simulator.protocol import ChatRequest
from openmic.simulator.replies import answer
from openmic.simulator.settings import SimulatorSettings
from openmic.simulator.skills import MODELS, SKILLS, TEACHER

RECORD = Path(__file__).parent / "golden.json"
INPUTS = Path(__file__).parents[2] / "examples" / "inputs"
SOURCES = 24
"""Inputs of each task's example, evenly from first to last."""
OF_ITS_OWN = {
    "humor": ["Lucy was stuck in there for an hour.", "Has the bus left?", "It rained again.", "漢字 only"],
    "plain-language": [
        "It should be noted that, should the fault persist, customers are kindly requested to furnish the office with "
        "the same within a period of two weeks, failing which no refund will be granted.",
        "The undersigned hereby declares that he or she is in possession of a valid permit.",
        "Stop.",
    ],
}
SETTINGS = SimulatorSettings(seed=5, quality=0.5)


def sources(task: str) -> list[str]:
    lines = (INPUTS / f"{task}.jsonl").read_text(encoding="utf-8").splitlines()
    return [*OF_ITS_OWN[task], *(json.loads(line)["input"] for line in lines[:: len(lines) // SOURCES][:SOURCES])]


def chat(model: str, content: str, **more: Any) -> list[str]:
    body = {"model": model, "messages": [{"role": "user", "content": content}], "temperature": 0.7, **more}
    return [
        f"{choice['message']['content']} {numbers(choice['logprobs'])}"
        for choice in answer(ChatRequest(**body), content_hash([SETTINGS.seed, body]), SETTINGS)
    ]


def numbers(logprobs: dict[str, Any] | None) -> list[Any]:
    """Log-probabilities with as many digits as are the same on every machine."""
    if logprobs is None:
        return []
    return [{top["token"]: round(top["logprob"], 6) for top in token["top_logprobs"]} for token in logprobs["content"]]


def replies(task: str) -> Iterator[tuple[str, list[str]]]:
    """Kind and reply of each request."""
    [tag] = [skill.tag for skill in SKILLS if skill.task == task]
    for place, source in enumerate(sources(task)):
        given = f"<{tag}>{source}</{tag}>"
        heard = "<heard>\nhired a publicist\n</heard>" if place % 2 else ""
        written = chat(TEACHER, f"Write exactly 1 text.\n{given}\n{heard}", n=6)
        yield "demonstrate", written
        yield "demonstrate", chat(TEACHER, f"Write exactly 5 texts.\n{given}\n{heard}")
        texts = [text.removesuffix(" []") for text in written]
        for number, model in enumerate(name for name in MODELS if name != TEACHER):
            two = f"{given}\n<first>{texts[number]}</first>\n<second>{texts[number + 1]}</second>\n{heard}"
            yield "compare", chat(model, two, logprobs=True, top_logprobs=8, max_tokens=1)
            yield (
                "reason",
                chat(model, f"{two}\nThen end with `Answer: 1` or `Answer: 2`.", logprobs=True, top_logprobs=2),
            )
            yield "critique", chat(model, f"{given}\n<draft>{texts[number]}</draft>\n{heard}", n=2)
            prompt = f"{given}\n<text>{texts[number]}</text>"
            body = {"model": model, "prompt": prompt, "echo": True, "logprobs": 1, "max_tokens": 0}
            scored = score(CompletionRequest.model_validate(body), content_hash(body), SETTINGS)
            values = scored["choices"][0]["logprobs"]["token_logprobs"]
            yield "cloze", [str([value if value is None else round(value, 6) for value in values])]


def record(task: str) -> dict[str, dict[str, Any]]:
    """By kind: how many replies, and the hash of them all."""
    said: dict[str, list[str]] = {}
    for kind, texts in replies(task):
        said.setdefault(kind, []).extend(texts)
    return {
        kind: {
            "replies": len(texts),
            "sha256": hashlib.sha256("\n\x1e".join(texts).encode()).hexdigest(),
            "first": texts[0],
        }
        for kind, texts in said.items()
    }


@pytest.mark.parametrize("task", [skill.task for skill in SKILLS])
def test_the_cast_says_what_it_said_before(task: str) -> None:
    known = json.loads(RECORD.read_text(encoding="utf-8"))[task]
    found = record(task)
    assert sum(each["replies"] for each in found.values()) > 500
    assert found == known


if __name__ == "__main__":
    text = json.dumps({skill.task: record(skill.task) for skill in SKILLS}, indent=1, ensure_ascii=False)
    RECORD.write_text(text + "\n", encoding="utf-8")
