"""What a Ray session must have before a run spends anything.

Room for the run's actors and, where it has several nodes, a store on a server and storage that all of them see.

Whether a folder is shared is not guessed from how it is mounted: a file is written to it, and every node looks.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from ...core.config import RunConfig
from ...core.errors import ConfigError
from ...store import normalize_url
from ...store.dialects.location import is_postgresql, shown_url
from ...training.adapters.storage import folder_of, is_remote, there
from ...training.local_ray import ray_session
from ...training.trainer.trainer import trainer_cpus
from .capacity import actor_demands, autoscalable_nodes, check_capacity

BOOTSTRAP = Path("~/ray_bootstrap_config.yaml")
"""Where `ray up` leaves the cluster's own plan, on its head."""
Lookout = Callable[[Path], Sequence[str]]
"""Tells which nodes do not see a file."""


@contextmanager
def checked_session(
    config: RunConfig, store: str, home: Path, *, address: str | None = None, students: bool = True
) -> Iterator[None]:
    """Ray for the time of the block, and everything in it that a run needs.

    Args:
        config: The run's configuration.
        store: The address of its store.
        home: The folder of its files, where adapters are kept unless `storage_uri` says where.
        address: The cluster to join, as for `ray_session`.
        students: Whether the run has students at all.

    Raises:
        ConfigError: There is no such cluster, or as for `check_capacity` and `check_shared`.
    """
    cpus = trainer_cpus(config.training)
    if students:
        several = config.dialogue.workers > 1
        cpus += config.student.pool.cpus + ceil(several * config.dialogue.workers * config.dialogue.cpus_per_worker)
    with ray_session(minimum_cpus=cpus, address=address):
        nodes = _alive()
        check_capacity(
            actor_demands(config, students=students),
            [node["Resources"] for node in nodes],
            autoscalable_nodes(BOOTSTRAP),
        )
        check_shared(store, config.storage_uri or str(home), len(nodes), _nodes_that_miss)
        yield


def check_shared(store: str, storage: str, nodes: int, missing: Lookout) -> None:
    """Make sure that what several nodes have to share is shared; one node may have everything to itself.

    Args:
        store: The address of the run's store.
        storage: Where the run's adapters are kept: a folder, or an address of remote storage.
        nodes: How many nodes there are.
        missing: Asks the nodes.

    Raises:
        ConfigError: The store is a file, or adapters would be kept where some node does not see them.
    """
    if nodes < 2:
        return
    store = normalize_url(store)
    if not is_postgresql(store):
        raise ConfigError(
            f"the cluster has {nodes} nodes, and the store {shown_url(store)!r} is a file on one of them: keep it in "
            "PostgreSQL (store: postgresql://USER@HOST/DATABASE)"
        )
    if is_remote(storage):
        return
    folder = folder_of(storage)
    with there(folder), NamedTemporaryFile(prefix=".seen-by-all-", dir=folder) as seen:
        blind = missing(Path(seen.name))
    if blind:
        raise ConfigError(
            f"adapters would be kept in {str(folder)!r}, which {', '.join(blind)} cannot see: set storage_uri to a "
            "folder that all nodes share (NFS), or to object storage (s3://BUCKET/PATH)"
        )


def _alive() -> list[dict[str, Any]]:
    import ray

    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]  # Ray leaves it untyped
    return [node for node in nodes if node["Alive"]]


def _nodes_that_miss(file: Path) -> list[str]:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    def sees(path: str) -> bool:
        import os

        # Network file systems keep what they know of a folder for a while, until it is listed anew.
        os.listdir(os.path.dirname(path))  # noqa: PTH120, PTH208 - runs on its own on another node
        return os.path.exists(path)  # noqa: PTH110 - as above

    nodes = _alive()
    looks = [
        ray.remote(sees)
        .options(num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False))
        .remote(str(file))
        for node in nodes
    ]
    return [node["NodeManagerAddress"] for node, look in zip(nodes, looks, strict=True) if not _seen(look)]


def _seen(look: Any) -> bool:
    import ray
    from ray.exceptions import RayTaskError

    try:
        return bool(ray.get(look))
    except RayTaskError:  # there is not even the folder
        return False
