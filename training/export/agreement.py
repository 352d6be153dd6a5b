"""How far an exported student says what the adapter says: greedy outputs, token by token."""

from collections.abc import Sequence
from dataclasses import dataclass

from ...core.records import NO_ADAPTER, AdapterRef, GenerationRequest, Message, StudentSampling
from ..student.student import LoadedStudent

Tokens = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Greedy outputs of an export beside those of its adapter.

    Two outputs are compared up to their first different token: behind it they answer different beginnings.
    """

    outputs: int
    same: int
    """Outputs that are alike to their last token."""
    tokens: int
    """Tokens of the adapter's outputs, together."""
    agreeing: int
    """Of those, the ones before the first difference."""

    @classmethod
    def of(cls, expected: Sequence[Tokens], found: Sequence[Tokens]) -> "Agreement":
        """What outputs have in common, pair by pair."""
        common = [_common(one, other) for one, other in zip(expected, found, strict=True)]
        same = sum(one == other for one, other in zip(expected, found, strict=True))
        return cls(len(expected), same, sum(map(len, expected)), sum(common))

    def __str__(self) -> str:
        return (
            f"{self.agreeing} of {self.tokens} greedy tokens agree with the adapter's until they first differ; "
            f"{self.same} of {self.outputs} outputs are alike"
        )


def _common(one: Tokens, other: Tokens) -> int:
    both = zip(one, other, strict=False)
    return next((place for place, (a, b) in enumerate(both) if a != b), min(len(one), len(other)))


def greedy(
    student: LoadedStudent,
    prompts: Sequence[Sequence[Message]],
    *,
    max_tokens: int,
    max_batch: int,
    adapter: AdapterRef = NO_ADAPTER,
) -> list[Tokens]:
    """The student's likeliest tokens for each prompt, the one that ends a text included.

    Raises:
        AdapterError: the adapter is not what was committed, or does not fit.
        GenerationError: a prompt is too long for the student.
    """
    from ..engines.static import BatchGenerator  # torch takes seconds to import

    generator = BatchGenerator(student, max_batch=max_batch)
    if adapter.version:
        generator.load(adapter)
    sampling = StudentSampling(temperature=0, max_tokens=max_tokens)
    asked = [
        GenerationRequest(f"greedy:{place}", tuple(messages), sampling, 0, adapter.version)
        for place, messages in enumerate(prompts)
    ]
    return [generation.token_ids for generation in generator.generate(asked)]
