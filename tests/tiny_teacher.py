"""A teacher that is a tiny model behind a loopback server, and scores prompts of token ids in the form vLLM documents.

Its log-probabilities are real. What it writes in a chat are fixed lines, as so small a model has nothing to teach.
"""

import math
from pathlib import Path
from typing import Any

import torch

from openmic.training.student.student import LoadedStudent, load_student

from .agents.scripted_endpoint import Answer, Asked, completion, failure, model_list

LINES = "1. The kettle broke, and the umbrella was jealous.\n2. The kettle retired early.\n3. The kettle sang its last."


class TinyTeacher:
    """The script of a `ScriptedEndpoint`: `chat` answers all that is posted to it."""

    def __init__(self, folder: Path, *, model: Any = None, shift: int = 0) -> None:
        """The model of a folder, or another one with its tokenizer, whose tokens are named `shift` places beside."""
        self.student: LoadedStudent = load_student(str(folder), device="cpu")
        self.model = self.student.model if model is None else model
        self.shift = shift
        self.scored: list[list[int]] = []
        """The prompts of token ids."""

    def chat(self, asked: Asked, number: int) -> Answer:
        if not asked.path.endswith("/completions") or asked.path.endswith("/chat/completions"):
            return Answer(
                body=completion(LINES, usage={"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18})
            )
        ids = asked.body["prompt"]
        if not isinstance(ids, list) or not asked.body.get("echo") or max(ids) >= len(self.student.tokenizer):
            return failure(400, "not scored")
        self.scored.append(ids)
        return Answer(body=self._echo(ids))

    def models(self, asked: Asked, number: int) -> Answer:
        return Answer(body=model_list("tiny-teacher"))

    def logprobs(self, ids: list[int]) -> list[float]:
        """Of each token but the first."""
        with torch.no_grad():
            logits = self.model(input_ids=torch.tensor([ids])).logits[0, :-1].float()
        found = torch.log_softmax(logits, -1).gather(-1, torch.tensor(ids[1:]).unsqueeze(-1)).squeeze(-1)
        return [float(number) for number in found]

    def _echo(self, ids: list[int]) -> dict[str, Any]:
        size = len(self.student.tokenizer)
        names = [self.student.tokenizer.decode([(token + self.shift) % size]) for token in ids]
        logprobs = {
            "tokens": [*names, "."],
            "token_logprobs": [None, *self.logprobs(ids), -math.log(2)],
            "top_logprobs": [None, *({} for _ in ids)],
            "text_offset": [0] * (len(ids) + 1),
        }
        usage = {"prompt_tokens": len(ids), "completion_tokens": 1, "total_tokens": len(ids) + 1}
        choice = {"index": 0, "text": "".join(names) + ".", "finish_reason": "length", "logprobs": logprobs}
        return {
            "id": "cmpl-1",
            "object": "text_completion",
            "created": 0,
            "model": "tiny-teacher",
            "choices": [choice],
            "usage": usage,
        }
