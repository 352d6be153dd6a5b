"""The configuration's sections on dialogues, on verdicts, and on which preferences come out of them."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from .records import PreferenceSource
from .section import Section


class DialogueSettings(Section):
    """The critique-and-revise conversations."""

    inputs: int | None = Field(default=None, ge=1)
    """Training inputs talked about in each round. None: all."""
    candidates: int = Field(default=6, ge=2)
    """Drafts the student samples for each input."""
    selection: Literal["most_different", "tournament"] = "most_different"
    """Which two drafts the critic compares: the most different, or the best and the worst of a small tournament."""
    max_revisions: int = Field(default=1, ge=0)
    """Revisions before the student is given up on."""
    critique: Literal["critique", "hint"] = "critique"
    """Which of the task's prompts a model that is the critic gets for its critiques: `hint` asks it to say what is
    missing, and to leave the words to the student, whose revisions otherwise tend to be the critic's suggestion."""
    overused_endings: Literal["told", "turned_away"] = "told"
    """What is done about endings that were heard too often before the round: teacher and critic are told of them; or
    the student's texts that end so are turned away besides, as by a gate."""
    teacher_fallback: bool = True
    """Whether the teacher demonstrates where the student did not get there."""
    concurrency: int = Field(default=32, ge=1)
    """Dialogues held at once."""
    workers: int = Field(default=1, ge=1)
    """Processes that hold a round's dialogues, and share its endpoints' limits. 1: the driver itself holds them all."""
    cpus_per_worker: float = Field(default=0.5, ge=0)
    """What Ray sets aside for each of several; one that has much to do takes a whole CPU."""

    @model_validator(mode="after")
    def _every_worker_has_a_dialogue(self) -> Self:
        if self.workers > self.concurrency:
            few = f"concurrency={self.concurrency} dialogues at once; lower the one or raise the other"
            raise ValueError(f"workers={self.workers} have nothing to do with {few}")
        return self


class VerdictSettings(Section):
    """How critic and judge compare two texts. Both orders are always asked."""

    style: Literal["label", "reason", "cloze"] = "label"
    """`label` reads the probability of the label that is answered, `reason` lets the model give a short reason before
    its label, `cloze` compares how likely each text makes a template (needs an endpoint that scores prompts)."""
    samples: int = Field(default=5, ge=1)
    """Labels sampled in each order where log-probabilities are missing, or too little of them is of both labels."""
    max_tokens: int | None = Field(default=None, ge=1)
    """The most tokens of a comparison's reply, such as 4000 for a model that thinks aloud first. None: 2 for a label,
    300 with a reason. A reply that names no label is asked for again with no fewer than 1024."""
    min_label_mass: float = Field(default=0.2, ge=0, le=1)
    """What both labels have to have together of the probability. Where they have less, the model wants to say something
    else, and its words are read instead; how often that was so is told by `openmic status`."""
    jury: Literal["mean", "majority"] = "mean"
    """With several critics: the mean of their probabilities, or the majority of their outcomes."""
    orders: Literal["both", "first"] = "both"
    """Which of the two orders counts in a critic's verdict. `first` is a negative control: the other one is asked for
    and kept, and does not count. A judge's verdict always counts both."""
    tie_margin: float = Field(default=0.05, ge=0, lt=0.5)
    """A verdict with |p - 1/2| below this is a tie, as is one whose orders disagree."""


class PreferenceSettings(Section):
    """Which preferences come out of the dialogues, and which of them are trained on."""

    candidates: bool = True
    """The better of two drafts over the other."""
    revisions: bool = True
    """A revision over its draft, where the critic prefers it in both orders."""
    teacher_pairs: bool = False
    """The better of two demonstrations of the teacher's over the other; `brio-dpo` always has them compared."""
    revisions_answer: Literal["input", "critique", "both"] = "input"
    """What an accepted revision is learned as the answer to: the input, so that the student says it at once; its draft
    and the critique of it, so that the student learns to revise; or both, in examples of their own."""
    teacher_over_student: bool = False
    """The teacher's text over the draft, where the student did not get there. No verdict stands behind it."""
    labels: Literal["critic", "shuffled", "random"] = "critic"
    """Which text of a preference is learned as the better one. `critic`: the one it preferred. For negative controls:
    `shuffled`, where labels have changed places among all preferences, and `random`, a coin for each."""
    valid_over_invalid: bool = False
    """The student's best text, or else the teacher's, over drafts that a gate turned away: of each gate the first. The
    critic never sees such drafts, so that nothing else teaches the student not to loop, copy or ramble. No verdict
    stands behind it, and `length_ratio` does not hold for it."""
    length_ratio: Annotated[tuple[float, float], BeforeValidator(lambda v: tuple(v) if isinstance(v, list) else v)] = (
        0.8,
        1.2,
    )
    """Words of the chosen text over words of the rejected one that a preference may have: critics like long texts."""

    @model_validator(mode="after")
    def _ratio_is_a_range(self) -> Self:
        low, high = self.length_ratio
        if not 0 < low <= 1 <= high:
            raise ValueError(f"length_ratio must be [low, high] with 0 < low <= 1 <= high, not [{low}, {high}]")
        return self

    @property
    def switched_off(self) -> set[PreferenceSource]:
        """The sources that are not trained on."""
        switches: dict[PreferenceSource, bool] = {
            "candidates": self.candidates,
            "revision": self.revisions,
            "teacher_pair": self.teacher_pairs,
            "teacher": self.teacher_over_student,
            "gate": self.valid_over_invalid,
        }
        return {source for source, on in switches.items() if not on}
