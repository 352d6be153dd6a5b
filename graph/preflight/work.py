"""What a run will do, counted: inputs, dialogues, adapters, comparisons."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log2
from typing import Self

from ...core.config import EndpointSettings, RunConfig
from ...core.records import Example, Split
from ..training_data.assemble import wants_teacher_pairs


@dataclass(frozen=True, slots=True)
class Work:
    """How much there is to do at most, were every reply readable."""

    demonstrated: int
    """Train inputs that are demonstrated for imitation."""
    in_dialogues: int
    """Train inputs in dialogues of each round."""
    dialogues: int
    """Of all rounds."""
    dev: int
    """Dev inputs to evaluate on."""
    test: int
    candidates: int
    """Adapters trained on feedback."""
    compared: int
    """Comparisons in dialogues."""
    paired: int
    """Comparisons of the teacher's own outputs."""
    criticised: int
    """Critiques."""
    scored: int
    """Drafts of which the teacher says how likely it finds them."""
    evaluated: int
    """Outputs that are judged against a reference."""

    @classmethod
    def of(cls, config: RunConfig, inputs: Mapping[Split, int]) -> Self:
        """The work of a run on so many inputs of each split."""
        train, dev, test = (inputs[split] for split in Split)
        demonstrated = _used(config.imitation.inputs, train)
        in_dialogues = _used(config.dialogue.inputs, train) if config.rounds else 0
        dev, test = _used(config.evaluation.dev_inputs, dev), _used(config.evaluation.test_inputs, test)
        dialogues = in_dialogues * config.rounds
        candidates = _candidate_adapters(config, dialogues)
        return cls(
            demonstrated=demonstrated,
            in_dialogues=in_dialogues,
            dialogues=dialogues,
            dev=dev,
            test=test,
            candidates=candidates,
            compared=0 if config.training.from_drafts else dialogues * _comparisons_per_dialogue(config),
            paired=_teacher_pairs(config, demonstrated),
            criticised=0 if config.training.from_drafts else dialogues * config.dialogue.max_revisions,
            scored=dialogues * config.dialogue.candidates if config.training.from_drafts else 0,
            evaluated=(test * (2 + candidates) if config.evaluation.at_end else 0)
            + dev * (1 + candidates if candidates else 0),
        )


def by_split(examples: Sequence[Example], *, as_if: int | None = None) -> dict[Split, int]:
    """How many inputs each split has.

    Args:
        examples: The inputs.
        as_if: Of as many as this, split in the same proportions. None: of those that there are.
    """
    counts = {split: sum(example.split is split for example in examples) for split in Split}
    if as_if is None or not examples:
        return counts
    return {split: round(count * as_if / len(examples)) for split, count in counts.items()}


def waits_for_drafts(config: RunConfig) -> int:
    """Comparisons of a dialogue's drafts that wait for one another; those of one round of a tournament do not."""
    entrants = config.dialogue.candidates
    if config.dialogue.selection != "tournament" or entrants <= 2:
        return 1
    return 1 + 2 * ceil(log2((entrants + 1) // 2)) + 1  # the first round, winners, then losers, the final


def replies(config: RunConfig, member: EndpointSettings, *, odds: bool | None = None) -> int:
    """Replies of one model that a comparison takes: both orders, or both texts, and samples where no odds are given.

    Args:
        config: The configuration.
        member: Who compares.
        odds: Whether it gives log-probabilities. None: where that is known.
    """
    if not member.asked:
        return 0
    if odds is None or member.simulated:
        odds = member.simulated and not config.cast.simulated.no_logprobs
    return 2 if odds or config.verdict.style == "cloze" else 2 * config.verdict.samples


def _used(asked: int | None, there: int) -> int:
    return there if asked is None else min(asked, there)


def _comparisons_per_dialogue(config: RunConfig) -> int:
    """Of drafts, and of each revision with what was revised."""
    drafts, entrants = 1, config.dialogue.candidates
    if config.dialogue.selection == "tournament" and entrants > 2:
        paired, halves = entrants // 2, (entrants + 1) // 2
        drafts = paired + 2 * (halves - 1) + 1  # a first round, a knock-out each among winners and losers, a final
    return drafts + config.dialogue.max_revisions


def _teacher_pairs(config: RunConfig, demonstrated: int) -> int:
    """Comparisons of the teacher's own outputs: one for each input that has several."""
    return demonstrated if config.imitation.demonstrations > 1 and wants_teacher_pairs(config) else 0


def _candidate_adapters(config: RunConfig, dialogues: int) -> int:
    """Adapters trained on feedback: one at the end of each round, and one for every so many preferences before."""
    if config.training.train_every is None:
        return config.rounds
    made = dialogues * (_comparisons_per_dialogue(config) + config.preferences.teacher_over_student)
    return config.rounds + made // config.training.train_every
