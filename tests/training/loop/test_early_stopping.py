import pytest
import torch

from openmic.training.loop.early_stopping import EarlyStopping


@pytest.mark.parametrize(
    ("losses", "patience", "stop", "best"),
    [
        ([3.0, 2.0, 1.0], 1, None, 2),
        ([3.0, 4.0], 1, 1, 0),
        ([3.0, 2.0, 2.5, 1.5, 1.6, 1.5], 2, 5, 3),
        ([3.0, 2.0, float("nan"), float("nan")], 2, 3, 1),
    ],
)
def test_it_stops_after_so_many_looks_without_a_better_loss(
    losses: list[float], patience: int, stop: int | None, best: int
) -> None:
    weight = torch.zeros(1)
    stopping = EarlyStopping([weight], patience)
    stops = []
    for step, loss in enumerate(losses):
        weight.fill_(step)
        stops.append(stopping.update(step, loss))
    assert stops == [step == stop for step in range(len(losses))]
    stopping.restore()
    assert weight.item() == stopping.best_step == best
    assert stopping.best_loss == losses[best]
