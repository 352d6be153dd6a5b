import os
import subprocess
import sys

import pytest

from openmic.training.local_ray import ray_session


def python(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"} | environment
    return subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=120,
        env=variables,
        check=False,
    )


@pytest.mark.usefixtures("ray_running")
def test_a_session_that_is_there_is_used_and_left_alone() -> None:
    import ray

    before = ray.get_runtime_context().get_job_id()
    with ray_session(minimum_cpus=64):
        assert ray.get_runtime_context().get_job_id() == before
    assert ray.is_initialized()


@pytest.mark.usefixtures("ray_running")
def test_student_and_trainer_find_room_even_on_one_core() -> None:
    import ray

    assert ray.cluster_resources()["CPU"] >= 2


def test_a_session_of_its_own_ends_with_the_block_and_makes_no_noise() -> None:
    done = python(
        "from openmic.training.local_ray import ray_session\n"
        "with ray_session(minimum_cpus=5):\n"
        "    import ray\n"
        "    print(ray.get(ray.remote(lambda: 6 * 7).remote()), ray.cluster_resources()['CPU'] >= 5)\n"
        "print(ray.is_initialized())\n"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "42 True\nFalse\n"
    assert done.stderr == ""


@pytest.mark.usefixtures("ray_running")
def test_a_cluster_that_the_environment_names_is_joined_and_goes_on() -> None:
    import ray

    nodes = [node["NodeID"] for node in ray.nodes()]
    done = python(
        "from openmic.training.local_ray import ray_session\n"
        "with ray_session(minimum_cpus=64):\n"
        "    import ray\n"
        "    print([node['NodeID'] for node in ray.nodes()])\n",
        RAY_ADDRESS=ray.get_runtime_context().gcs_address,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(nodes)
    assert ray.get(ray.remote(lambda: 6 * 7).remote()) == 42
