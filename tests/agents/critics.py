"""Critics and juries of endpoints' models alone, as tests ask them."""

from collections.abc import Sequence

from openmic.agents.cast import Critic, EndpointCritiques
from openmic.agents.llm import LLM
from openmic.agents.tasks.task import Task
from openmic.agents.verdicts.jury import Jury
from openmic.agents.verdicts.pairwise import EndpointJuror
from openmic.core.dialogue_settings import VerdictSettings
from openmic.core.records import Role


def endpoint_critic(task: Task, llm: LLM, models: Sequence[str], seed: int, settings: VerdictSettings) -> Critic:
    """A critic of endpoints' models alone: the first of them writes the critiques, all of them compare."""
    return Critic(
        endpoint_jury(task, llm, "critic", models, seed, settings), EndpointCritiques(task, llm, models[0], seed)
    )


def endpoint_jury(
    task: Task, llm: LLM, role: Role, models: Sequence[str], seed: int, settings: VerdictSettings
) -> Jury:
    """A jury of endpoints' models alone."""
    jurors = [EndpointJuror(task, llm, role, model, place, seed, settings) for place, model in enumerate(models)]
    return Jury(jurors, settings)
