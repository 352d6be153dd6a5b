from collections.abc import Sequence

from openmic.core.records import GenerationRequest, TrainingExample
from openmic.training.engines.conformance import TEXTS, messages, request
from openmic.training.engines.static import BatchGenerator

__all__ = ["TEXTS", "demonstration", "draft", "messages", "preference", "request", "tokens"]


def tokens(engine: BatchGenerator, requests: Sequence[GenerationRequest]) -> list[tuple[int, ...]]:
    return [generation.token_ids for generation in engine.generate(requests)]


def demonstration(number: int, text: str, prompt: str | None = None) -> TrainingExample:
    return TrainingExample(f"d{number}", messages(prompt or TEXTS[number % len(TEXTS)]), (text,))


def draft(number: int, length: int = 6) -> TrainingExample:
    """A draft of the student's, of which the teacher likes every second token better than the others."""
    ids = tuple(5 + (17 * number + 11 * place) % 200 for place in range(length))
    scores = tuple(-3.0 if place % 2 else -9.0 for place in range(length))
    prompt = messages(TEXTS[number % len(TEXTS)])
    return TrainingExample(f"o{number}", prompt, (f"draft {number}",), token_ids=ids, teacher_logprobs=scores)


def preference(number: int, *texts: str, target: str | None = None, prompt: str | None = None) -> TrainingExample:
    """Texts from best to worst: a pair or a ranking."""
    return TrainingExample(f"p{number}", messages(prompt or TEXTS[number % len(TEXTS)]), texts, target, margin=0.5)
