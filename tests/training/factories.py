from collections.abc import Sequence

from openmic.core.records import GenerationRequest, TrainingExample
from openmic.training.engines.conformance import TEXTS, messages, request
from openmic.training.engines.static import BatchGenerator

__all__ = ["TEXTS", "demonstration", "messages", "preference", "request", "tokens"]


def tokens(engine: BatchGenerator, requests: Sequence[GenerationRequest]) -> list[tuple[int, ...]]:
    return [generation.token_ids for generation in engine.generate(requests)]


def demonstration(number: int, text: str, prompt: str | None = None) -> TrainingExample:
    return TrainingExample(f"d{number}", messages(prompt or TEXTS[number % len(TEXTS)]), (text,))


def preference(number: int, *texts: str, target: str | None = None, prompt: str | None = None) -> TrainingExample:
    """Texts from best to worst: a pair or a ranking."""
    return TrainingExample(f"p{number}", messages(prompt or TEXTS[number % len(TEXTS)]), texts, target, margin=0.5)
