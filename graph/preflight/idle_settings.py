"""Settings that were set and play no part in a run as it is configured."""

from collections.abc import Iterator
from functools import reduce
from typing import Any

from pydantic import BaseModel

from ...core.config import RunConfig

_PAIRS = frozenset({"dpo", "brio-dpo"})
_USED_BY: dict[str, frozenset[str]] = {
    "margin_weights": frozenset({"dpo", "simpo", "kto", "brio", "brio-dpo"}),
    "beta": frozenset({"dpo", "simpo", "kto", "brio-dpo"}),
    "label_smoothing": _PAIRS,
    "nll_weight": frozenset({"dpo", "simpo", "brio", "brio-dpo"}),
    "ld_alpha": _PAIRS,
    "gamma_beta_ratio": frozenset({"simpo"}),
    "rank_weight": frozenset({"brio", "brio-dpo"}),
    "length_penalty": frozenset({"brio", "brio-dpo"}),
    "desirable_weight": frozenset({"kto"}),
    "undesirable_weight": frozenset({"kto"}),
}
"""Numbers of the objectives that ship, and which of them use each."""
_OF_VERDICTS = ("style", "samples", "max_tokens", "min_label_mass")
_OF_SCORERS = ("margin", "scale")
_OF_FILES = ("input_field", "output_field", "split", "subset")


def idle_settings(config: RunConfig) -> list[str]:
    """A line for each key that is not at its default and changes nothing in this run."""
    told = {key: why for key, why in _idle(config) if _value(config, key) != _default(config, key)}
    return [f"{key} has no effect: {why}" for key, why in told.items()]


def _idle(config: RunConfig) -> Iterator[tuple[str, str]]:
    """Keys that play no part, and why; whatever stands there."""
    yield from _of_trainings(config)
    yield from _of_dialogues(config)
    yield from _of_members(config)


def _of_trainings(config: RunConfig) -> Iterator[tuple[str, str]]:
    objective = config.training.objective
    for name, objectives in _USED_BY.items():
        if ":" not in objective and objective not in objectives:
            yield f"training.{name}", f"training.objective={objective} does not use it"
        yield f"imitation.{name}", "imitation learns the teacher's texts as they are (sft)"
    if objective in {"sft", "opd"}:
        for name in type(config.preferences).model_fields:
            yield f"preferences.{name}", f"training.objective={objective} learns from no preferences"
    if config.training.train_every is None:
        yield "training.overlap", "training.train_every is not set, so nobody generates while something is trained"


def _of_dialogues(config: RunConfig) -> Iterator[tuple[str, str]]:
    if not config.dialogue.max_revisions:
        yield "dialogue.critique", "dialogue.max_revisions=0, so nothing is criticised"
        yield "preferences.revisions_answer", "dialogue.max_revisions=0, so there are no revisions"
    elif not config.preferences.revisions:
        yield "preferences.revisions_answer", "preferences.revisions=false, so no revision is trained on"
    if not config.cast.critic.asked:
        yield "dialogue.critique", "the critic is no model, and gets none of the task's prompts"


def _of_members(config: RunConfig) -> Iterator[tuple[str, str]]:
    cast = config.cast
    comparing = {"critic": cast.critic, **({} if cast.judge is None else {"judge": cast.judge})}
    if not any(member.asked for member in (*comparing.values(), *cast.jury)):
        yield from (
            (f"verdict.{name}", "critic and judge are no models, and are sent no prompt") for name in _OF_VERDICTS
        )
    for role, member in comparing.items():
        if member.plug is None:
            yield from (
                (f"cast.{role}.{name}", f"the {role} is a model, and it is for scorers") for name in _OF_SCORERS
            )
    for role, teacher in {"teacher": cast.teacher, "references": cast.references}.items():
        if teacher is not None and teacher.demonstrations is None:
            for name in _OF_FILES:
                yield f"cast.{role}.{name}", f"cast.{role}.demonstrations is not set"


def _value(config: RunConfig, key: str) -> Any:
    return reduce(getattr, key.split("."), config)


def _default(config: RunConfig, key: str) -> Any:
    above, _, name = key.rpartition(".")
    section: BaseModel = _value(config, above)
    return type(section).model_fields[name].get_default(call_default_factory=True)
