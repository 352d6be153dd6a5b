from pathlib import Path
from typing import Any

import pytest
import yaml

from openmic.core.errors import ConfigError
from openmic.graph.preflight.capacity import ActorDemand, Resources, actor_demands, autoscalable_nodes, check_capacity

from ..conftest import config_of

HEAD: Resources = {"CPU": 2.0, "trainer": 1.0, "memory": 1e9, "node:10.0.0.1": 1.0}
WORKER: Resources = {"CPU": 1.0, "student": 1.0}
GPU: Resources = {"CPU": 8.0, "GPU": 1.0}


def actors(**sections: Any) -> list[ActorDemand]:
    return actor_demands(config_of(**sections))


def test_what_the_configuration_asks_for() -> None:
    student, trainer = actors(
        student={"pool": {"actors": 3, "min_actors": 2, "gpus_per_actor": 0.5, "resources": {"student": 1}}},
        training={"workers": 2, "cpus_per_worker": 4},
    )
    # Of the students only those count that the pool cannot do without.
    assert student == ActorDemand("student", "student.pool", 2, {"CPU": 1.0, "GPU": 0.5, "student": 1.0})
    assert trainer == ActorDemand("trainer", "training", 2, {"CPU": 4.0})
    several = actors(dialogue={"workers": 3, "cpus_per_worker": 0.25})
    assert several[2:] == [ActorDemand("dialogue worker", "dialogue", 3, {"CPU": 0.25})]
    assert actor_demands(config_of(dialogue={"workers": 3}), students=False) == actor_demands(
        config_of(), students=False
    )
    assert actor_demands(config_of(), students=False) == [ActorDemand("trainer", "training", 1, {"CPU": 1.0})]


def test_two_students_and_a_trainer_have_room_on_three_hosts() -> None:
    pool = {"actors": 2, "resources": {"student": 1}}
    check_capacity(actors(student={"pool": pool}, training={"resources": {"trainer": 1}}), [HEAD, WORKER, WORKER])


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        (
            {"student": {"pool": {"gpus_per_actor": 1}}},
            r"the student wants 1 CPU, 1 GPU.*student\.pool.*no node has that",
        ),
        ({"training": {"cpus_per_worker": 3}}, r"the trainer wants 3 CPU.*training.*no node has that"),
        ({"training": {"resources": {"big": 1}}}, r"the trainer wants 1 CPU, 1 big"),
        ({"student": {"pool": {"actors": 3, "resources": {"student": 1}}}}, r"3 students want.*there is room for 2"),
        ({"student": {"pool": {"actors": 4}}}, r"student\.pool and training want 5 CPU together, and there are 4"),
    ],
)
def test_an_actor_that_could_never_be_placed_is_refused(sections: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        check_capacity(actors(**sections), [HEAD, WORKER, WORKER])
    # What there is, by the names that a person would ask by.
    assert "2 CPU, 1 trainer | 1 CPU, 1 student | 1 CPU, 1 student" in str(caught.value)
    assert "ray status" in str(caught.value)


def test_fractions_of_a_gpu_fill_it() -> None:
    ten = {"actors": 10, "cpus_per_actor": 0, "gpus_per_actor": 0.1}
    check_capacity(actors(student={"pool": ten}, training={"cpus_per_worker": 0}), [{"GPU": 1.0}])
    with pytest.raises(ConfigError, match=r"10 students want 0\.3 GPU"):
        check_capacity(actors(student={"pool": {**ten, "gpus_per_actor": 0.3}}), [{"CPU": 1.0, "GPU": 1.0}])


def test_nodes_that_an_autoscaler_may_start_count(tmp_path: Path) -> None:
    kinds = {
        "head": {"resources": {"CPU": 0}, "max_workers": 0},
        "gpu": {"resources": dict(GPU), "max_workers": 2},
    }
    plan = tmp_path / "plan.yaml"
    plan.write_text(yaml.safe_dump({"available_node_types": kinds}))
    pool = {"actors": 2, "gpus_per_actor": 1}
    asked = actors(student={"pool": pool})
    with pytest.raises(ConfigError, match="no node has that"):
        check_capacity(asked, [{"CPU": 2.0}])
    assert autoscalable_nodes(plan) == [GPU, GPU]
    check_capacity(asked, [{"CPU": 2.0}], autoscalable_nodes(plan))


@pytest.mark.parametrize(
    "text", [None, "rubbish: [", "[]", "available_node_types: {local: {resources: {}, max_workers: 2}}"]
)
def test_no_plan_of_a_cloud_brings_no_nodes(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "plan.yaml").write_text(text)
    assert autoscalable_nodes(tmp_path / "plan.yaml") == []
