import pytest

from openmic.training.loop.schedule import rate, steps_of


@pytest.mark.parametrize(
    ("epochs", "examples", "batch_size", "steps"),
    [(1.0, 4, 2, 2), (0.5, 4, 2, 1), (1.5, 4, 2, 3), (1.0, 4, 3, 2), (0.01, 4, 4, 1), (2.0, 96, 16, 12)],
)
def test_epochs_say_how_many_steps(epochs: float, examples: int, batch_size: int, steps: int) -> None:
    assert steps_of(epochs, examples, batch_size) == steps


def test_the_rate_rises_to_its_peak_and_falls_to_nearly_nothing() -> None:
    rates = [rate(step, 20, 0.2) for step in range(20)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[4:] == pytest.approx([1 - step / 16 for step in range(16)])


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.99])
def test_however_short_a_training_is_every_step_learns(steps: int, share: float) -> None:
    assert all(0 < rate(step, steps, share) <= 1 for step in range(steps))
