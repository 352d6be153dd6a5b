import os
import sys
from typing import Any

import pytest


class Looking:
    """What a worker finds when it begins."""

    def look(self) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "imported": "peft" in sys.modules and "torch" in sys.modules,
            "program": sys.modules["__main__"].__file__,
            "given": os.environ.get("GIVEN"),
        }


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")
def test_workers_have_imported_what_they_need_and_are_processes_of_their_own(ray_running: None) -> None:
    import ray

    actor: Any = ray.remote(num_cpus=0)(Looking)
    workers = [actor.remote() for _ in range(2)]
    found = ray.get([worker.look.remote() for worker in workers])
    assert all(one["imported"] and one["program"].endswith("default_worker.py") for one in found)
    assert len({os.getpid(), *(one["pid"] for one in found)}) == 3
    os.kill(found[0]["pid"], 9)
    with pytest.raises(ray.exceptions.ActorDiedError):
        ray.get(workers[0].look.remote())
    assert ray.get(workers[1].look.remote())["pid"] == found[1]["pid"]
    ray.kill(workers[1])


def test_a_worker_with_an_environment_of_its_own_has_it(ray_running: None) -> None:
    import ray

    actor: Any = ray.remote(num_cpus=0, runtime_env={"env_vars": {"GIVEN": "this"}})(Looking)
    worker = actor.remote()
    assert ray.get(worker.look.remote())["given"] == "this"
    ray.kill(worker)
