"""What several machines must share before a run spends anything: a store on a server, and storage all of them see.

Whether a folder is shared is not guessed from how it is mounted: a file is written to it, and every node looks.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from ..core.config import RunConfig
from ..core.errors import ConfigError
from ..store import Run, Store
from ..store.location import is_postgresql
from ..training.storage import folder_of, is_remote

Lookout = Callable[[Path], Sequence[str]]
"""Tells which nodes do not see a file."""


def check_cluster(config: RunConfig, store: Store, run: Run) -> None:
    """Make sure that a run can use all the nodes of the Ray session that is there.

    Raises:
        ConfigError: As for `check_shared`.
    """
    check_shared(store, config.storage_uri or run.home, len(_alive()), _nodes_that_miss)


def check_shared(store: Store, storage: str, nodes: int, missing: Lookout) -> None:
    """Make sure that what several nodes have to share is shared; one node may have everything to itself.

    Args:
        store: The run's store.
        storage: Where the run's adapters are kept: a folder, or an address of remote storage.
        nodes: How many nodes there are.
        missing: Asks the nodes.

    Raises:
        ConfigError: The store is a file, or adapters would be kept where some node does not see them.
    """
    if nodes < 2:
        return
    if not is_postgresql(store.address):
        raise ConfigError(
            f"the cluster has {nodes} nodes, and the store {store.url!r} is a file on one of them: keep it in "
            "PostgreSQL (store: postgresql://USER@HOST/DATABASE)"
        )
    if is_remote(storage):
        return
    folder = folder_of(storage)
    folder.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(prefix=".seen-by-all-", dir=folder) as seen:
        blind = missing(Path(seen.name))
    if blind:
        raise ConfigError(
            f"adapters would be kept in {str(folder)!r}, which {', '.join(blind)} cannot see: set storage_uri to a "
            "folder that all nodes share (NFS), or to object storage (s3://BUCKET/PATH)"
        )


def _alive() -> list[dict[str, Any]]:
    import ray

    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return [node for node in nodes if node["Alive"]]


def _nodes_that_miss(file: Path) -> list[str]:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    def sees(path: str) -> bool:
        import os

        # Network file systems keep what they know of a folder for a while, until it is listed anew.
        os.listdir(os.path.dirname(path))  # noqa: PTH120, PTH208 - runs on its own on another node
        return os.path.exists(path)  # noqa: PTH110

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
