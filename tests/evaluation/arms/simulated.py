"""Verdicts drawn from a truth that is known."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from openmic.core.config import EvaluationSettings
from openmic.core.records import JudgedOutput, Outcome

SETTINGS = EvaluationSettings(bootstrap_samples=300)
TRIALS = 1000
LETTERS: dict[str, Outcome] = {"w": "win", "t": "tie", "l": "loss"}


def rates(
    generator: np.random.Generator, rate: float, shape: tuple[int, int], of_inputs: float = 0.0, of_seeds: float = 0.0
) -> NDArray[np.float64]:
    """How likely a win is on each input with each seed, both of which differ by that much (standard deviations)."""
    inputs = of_inputs * generator.standard_normal((shape[0], 1))
    return np.clip(rate + inputs + of_seeds * generator.standard_normal((1, shape[1])), 0, 1)


def draws(generator: np.random.Generator, likely: NDArray[np.float64]) -> NDArray[np.float64]:
    return (generator.random(likely.shape) < likely).astype(float)


def covered(intervals: Iterable[tuple[float, float, float]], truth: float) -> float:
    found = [low <= truth <= high for _, low, high in intervals]
    return sum(found) / len(found)


def outputs(judge: str, critic: str = "", seed: int = 0, start: int = 0) -> list[JudgedOutput]:
    """An output for each letter: w, t or l before the judge; a tie is one of orders that disagreed."""
    return list(_outputs(judge, critic, seed, start))


def _outputs(judge: str, critic: str, seed: int, start: int) -> Iterator[JudgedOutput]:
    for place, letter in enumerate(judge):
        yield JudgedOutput(
            input_id=f"input {start + place}",
            source=f"The bus number {start + place} was late.",
            text=f"The bus number {start + place} was so late that it missed itself.",
            reference=f"The bus {start + place} waits for nobody.",
            outcome=LETTERS[letter],
            consistent=letter != "t",
            seed=seed,
            critic=LETTERS[critic[place]] if critic else None,
        )
