"""The cluster files that ship are what Ray and KubeRay take; `make test-cluster` carries the first one out."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

ROOT = Path(__file__).parents[1]
ON_PREMISE, AWS, KUBERAY = ROOT / "ray_cluster.yaml", ROOT / "deploy" / "aws.yaml", ROOT / "deploy" / "kuberay.yaml"


def loaded(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def kuberay() -> dict[str, dict[str, Any]]:
    return {each["kind"]: each for each in yaml.safe_load_all(KUBERAY.read_text(encoding="utf-8"))}


def pods(cluster: dict[str, Any]) -> list[dict[str, Any]]:
    groups = [cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]]
    return [group["template"]["spec"] for group in groups]


@pytest.mark.parametrize("path", [ON_PREMISE, AWS], ids=lambda path: path.name)
def test_ray_takes_the_file(path: Path) -> None:
    validate_config(prepare_config(loaded(path)))


def test_ray_refuses_what_is_not_in_its_schema() -> None:
    with pytest.raises(Exception, match="Additional properties are not allowed"):
        validate_config(prepare_config({**loaded(ON_PREMISE), "worker_count": 2}))


@pytest.mark.parametrize("path", [ON_PREMISE, AWS], ids=lambda path: path.name)
def test_whoever_has_no_token_is_turned_away(path: Path) -> None:
    plan = loaded(path)
    starts = [plan["head_start_ray_commands"][-1], plan["worker_start_ray_commands"][-1]]
    assert all("RAY_AUTH_MODE=token" in start for start in starts)
    assert plan["file_mounts"] == {"~/.ray/auth_token": "~/.ray/auth_token"}


def test_the_on_premise_file_names_a_head_and_as_many_workers_as_it_starts() -> None:
    plan = prepare_config(loaded(ON_PREMISE))
    assert len(plan["provider"]["worker_ips"]) == 2
    assert plan["available_node_types"]["local.cluster.node"]["min_workers"] == 2
    # A machine that cannot raise its limit of open files is started all the same.
    assert "ulimit -n 65536;" in plan["worker_start_ray_commands"][-1]


def test_actors_on_aws_go_to_gpu_machines_that_cost_nothing_while_nobody_asks() -> None:
    plan = prepare_config(loaded(AWS))
    head, gpu = (plan["available_node_types"][name] for name in ("head", "gpu"))
    assert plan["head_node_type"] == "head"
    assert head["resources"] == {"CPU": 0}
    assert gpu["resources"]["GPU"] == 1
    assert gpu["min_workers"] == 0
    assert gpu["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}


def test_kuberay_runs_the_ray_that_is_pinned() -> None:
    [pinned] = re.findall(r"^ray==(.+)$", (ROOT / "requirements.lock").read_text(encoding="utf-8"), re.MULTILINE)
    cluster = kuberay()["RayCluster"]
    assert cluster["apiVersion"] == "ray.io/v1"
    assert cluster["spec"]["rayVersion"] == pinned


def test_every_pod_has_the_same_image_and_sees_the_claimed_storage() -> None:
    found = kuberay()
    every = pods(found["RayCluster"])
    assert len({pod["containers"][0]["image"] for pod in every}) == 1
    claim = found["PersistentVolumeClaim"]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    for pod in every:
        [volume] = pod["volumes"]
        [mount] = pod["containers"][0]["volumeMounts"]
        assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
        assert mount == {"name": volume["name"], "mountPath": "/shared"}


def test_kuberay_has_no_actors_on_the_head_and_a_gpu_for_each_worker() -> None:
    head, worker = kuberay()["RayCluster"]["spec"]["headGroupSpec"], kuberay()["RayCluster"]["spec"]["workerGroupSpecs"]
    assert head["rayStartParams"] == {"num-cpus": "0"}
    assert kuberay()["RayCluster"]["spec"]["authOptions"] == {"mode": "token"}
    assert [pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] for pod in pods(kuberay()["RayCluster"])[1:]]
    assert worker[0]["minReplicas"] == worker[0]["maxReplicas"] == 2
