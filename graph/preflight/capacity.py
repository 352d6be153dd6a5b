"""Whether the actors that a run asks for can ever be placed on the nodes there are.

Ray lets an actor that fits nowhere wait for ever. Only what cannot be is refused here: the conditions are necessary,
and not sufficient where actors of several kinds share nodes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor, inf
from pathlib import Path

from ...core.config import RunConfig
from ...core.errors import ConfigError
from ...core.files.yaml_text import parse_yaml

Resources = Mapping[str, float]
"""How much of each resource, by Ray's names: CPU, GPU, and those that a cluster gives its nodes."""


@dataclass(frozen=True, slots=True)
class ActorDemand:
    """Actors of one kind."""

    what: str
    """What one of them is called."""
    setting: str
    """The section of the configuration that asks for them."""
    count: int
    each: Resources
    """What Ray sets aside for each."""


def actor_demands(config: RunConfig, *, students: bool = True) -> list[ActorDemand]:
    """The actors that a run cannot do without; a run without dialogues has no students."""
    pool, training = config.student.pool, config.training
    trainer = _set_aside(training.cpus_per_worker, training.gpus_per_worker, training.resources)
    student = _set_aside(pool.cpus_per_actor, pool.gpus_per_actor, pool.resources)
    found = [ActorDemand("trainer", "training", training.workers, trainer)]
    if not students:
        return found
    if config.dialogue.workers > 1:
        worker = _set_aside(config.dialogue.cpus_per_worker, 0, {})
        found.append(ActorDemand("dialogue worker", "dialogue", config.dialogue.workers, worker))
    return [ActorDemand("student", "student.pool", pool.fewest, student), *found]


def autoscalable_nodes(plan: Path) -> list[Resources]:
    """Resources of nodes that an autoscaler could still add, from the cluster's bootstrap file.

    Empty where there is no such plan, which is everywhere but on the head of a cluster that `ray up` made.
    """
    try:
        kinds = parse_yaml(plan.expanduser().read_text(encoding="utf-8"))["available_node_types"].values()
        return [kind["resources"] for kind in kinds for _ in range(kind["max_workers"]) if kind["resources"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []


def check_capacity(actors: Sequence[ActorDemand], nodes: Sequence[Resources], coming: Sequence[Resources] = ()) -> None:
    """Make sure that actors can be placed, an actor on one node, all of them at once.

    Args:
        actors: What is to be placed.
        nodes: All that each node has, whoever uses it now.
        coming: The same of nodes that are started when something waits for them.

    Raises:
        ConfigError: there is an actor for which there will never be room.
    """
    have = f"; the cluster's nodes have {_listed(nodes)}. See `ray status`: nodes that are still starting are not there"
    nodes = [*nodes, *coming]
    for kind in actors:
        places = sum(_places(kind.each, node) for node in nodes)
        if places < kind.count:
            number = f"{kind.count} {kind.what}s want" if kind.count > 1 else f"the {kind.what} wants"
            room = f"there is room for {places:g}" if places else "no node has that"
            raise ConfigError(f"{number} {_amounts(kind.each)} each ({kind.setting}.…), and {room}{have}")
    for name in sorted({name for kind in actors for name in kind.each}):
        sum_of_all = sum(kind.count * kind.each.get(name, 0.0) for kind in actors)
        there_is = sum(node.get(name, 0.0) for node in nodes)
        if sum_of_all > there_is:
            kinds = " and ".join(kind.setting for kind in actors if name in kind.each)
            raise ConfigError(f"{kinds} want {sum_of_all:g} {name} together, and there are {there_is:g}{have}")


def _set_aside(cpus: float, gpus: float, custom: Resources) -> Resources:
    return {name: amount for name, amount in {"CPU": cpus, "GPU": gpus, **custom}.items() if amount}


def _places(each: Resources, node: Resources) -> float:
    """How many actors of a kind a node has room for when it has nothing else to do."""
    # A hair more, because fractions of a GPU do not add up to one in floating point.
    return min((floor(node.get(name, 0.0) / amount + 1e-9) for name, amount in each.items()), default=inf)


def _amounts(resources: Resources) -> str:
    return ", ".join(f"{amount:g} {name}" for name, amount in resources.items()) or "nothing"


def _listed(nodes: Sequence[Resources]) -> str:
    kinds = [_amounts({name: amount for name, amount in node.items() if _asked_for(name)}) for node in nodes]
    return " | ".join(kinds) or "nothing"


def _asked_for(name: str) -> bool:
    """Whether a person would ask for a resource by this name; Ray adds some of its own."""
    return name not in {"memory", "object_store_memory"} and not name.startswith(("node:", "accelerator_type:"))
