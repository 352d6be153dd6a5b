from collections.abc import Sequence

from openmic.core.records import GenerationRequest, Message, StudentSampling, TrainingExample
from openmic.training.engines.static import BatchGenerator

TEXTS = (
    "The bus was late.",
    "My brother forgot our mother's birthday again and sent her a card with my name in it.",
    "I bought a new umbrella this morning.",
    "Soup.",
)
"""Prompts of four lengths."""


def messages(text: str = TEXTS[0]) -> tuple[Message, ...]:
    return (Message(role="system", content="Be funny."), Message(role="user", content=text))


def request(
    text: str = TEXTS[0],
    *,
    seed: int = 0,
    temperature: float = 1.0,
    top_p: float = 1.0,
    max_tokens: int = 12,
    num_beams: int = 1,
    beam: int = 0,
    adapter: int = 0,
    id: str = "r",  # noqa: A002 - the record's own name
) -> GenerationRequest:
    sampling = StudentSampling(temperature=temperature, top_p=top_p, max_tokens=max_tokens, num_beams=num_beams)
    return GenerationRequest(id, messages(text), sampling, seed, adapter, beam)


def tokens(engine: BatchGenerator, requests: Sequence[GenerationRequest]) -> list[tuple[int, ...]]:
    return [generation.token_ids for generation in engine.generate(requests)]


def demonstration(number: int, text: str, prompt: str | None = None) -> TrainingExample:
    return TrainingExample(f"d{number}", messages(prompt or TEXTS[number % len(TEXTS)]), (text,))


def preference(number: int, *texts: str, target: str | None = None, prompt: str | None = None) -> TrainingExample:
    """Texts from best to worst: a pair or a ranking."""
    return TrainingExample(f"p{number}", messages(prompt or TEXTS[number % len(TEXTS)]), texts, target, margin=0.5)
