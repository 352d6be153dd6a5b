"""Limits shared out among workers, and what they are sent."""

import pickle
from threading import Lock
from typing import Any

import pytest

from openmic.agents.tasks.task import Task, load_task
from openmic.core.config import CastSettings
from openmic.core.errors import ConfigError
from openmic.graph.context.plugs import Plugs
from openmic.graph.context.sending import Sent
from openmic.graph.context.shares import check_workers, objects_to_send, share_of

from ..conftest import config_of

ENDPOINT = {"model": "big", "base_url": "http://127.0.0.1:9/v1"}


@pytest.mark.parametrize("workers", [1, 2, 3, 5])
def test_shares_add_up_to_every_limit(workers: int) -> None:
    limits = {"max_concurrency": 17, "requests_per_minute": 61, "tokens_per_minute": 9001}
    cast = CastSettings.model_validate(
        {"teacher": ENDPOINT | limits, "critic": ENDPOINT | {"max_concurrency": 8}, "jury": [ENDPOINT | limits]}
    )
    shares = [share_of(cast, place, workers) for place in range(workers)]
    for name, limit in limits.items():
        assert sum(getattr(share.teacher, name) for share in shares) == limit
        assert sum(getattr(share.jury[0], name) for share in shares) == limit
        assert {getattr(share.teacher, name) - limit // workers for share in shares} <= {0, 1}
    assert sum(share.critic.max_concurrency for share in shares) == 8
    assert {share.critic.requests_per_minute for share in shares} == {None}


def test_a_limit_that_is_too_small_to_be_shared_out_is_refused_by_its_key() -> None:
    config = config_of(
        cast={"critic": ENDPOINT, "jury": [ENDPOINT | {"requests_per_minute": 2}]}, dialogue={"workers": 3}
    )
    with pytest.raises(ConfigError, match=r"cast\.jury\.0\.requests_per_minute=2 .* dialogue\.workers=3"):
        check_workers(config, Plugs())
    check_workers(config_of(cast={"critic": ENDPOINT | {"requests_per_minute": 2}}), Plugs())  # one worker has all


def test_there_are_no_more_workers_than_dialogues() -> None:
    with pytest.raises(ValueError, match="workers=3 have nothing to do"):
        config_of(dialogue={"workers": 3, "concurrency": 2})


class Locked:
    """A critic that no other process can be given."""

    def __init__(self) -> None:
        self.lock = Lock()

    def compare(self, source: str, first: str, second: str) -> float:
        return 0.5


def test_an_object_that_cannot_be_sent_is_refused_before_anything_is_paid_for() -> None:
    cast: dict[str, Any] = {"critic": {"use": f"{__name__}:Locked"}}
    given = Plugs({"cast.critic": Locked()})
    with pytest.raises(ConfigError, match=r"cast\.critic: Locked cannot be sent to the dialogue workers' processes"):
        check_workers(config_of(cast=cast, dialogue={"workers": 2}), given)
    check_workers(config_of(cast=cast), given)


def shouted(text: str) -> str:
    return text.upper()


def test_a_task_made_in_python_is_the_same_in_another_process() -> None:
    plain = load_task("humor")
    task = Task(**dict(plain.file), clean=shouted, gates=lambda text, source: "too short" if len(text) < 3 else None)
    sent = objects_to_send(config_of(dialogue={"workers": 2}), Plugs({"task": task}))
    found = pickle.loads(pickle.dumps(Sent(sent["task"])))
    assert found.hash == task.hash != plain.hash
    assert found.clean("a joke") == "A JOKE"
    assert found.problem("NO", "a sentence") is not None
