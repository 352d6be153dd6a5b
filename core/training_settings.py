"""The configuration's sections on fine-tuning: what is learned, how, and by which processes."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from .section import Section

STALENESS_TOLERANT = frozenset({"sft", "sd"})
"""The objectives that ship and are `staleness_tolerant`, for readers of a run that cannot load its objective."""
LEARNS_FROM_DRAFTS = frozenset({"opd"})
"""The objectives that ship and learn from the student's own drafts, without a critic."""
DEFAULT_STALENESS = 1
"""The most for objectives that are not tolerant."""


class LoRASettings(Section):
    """The adapter's shape, in PEFT's words."""

    r: int = Field(default=16, ge=1)
    """The rank of the matrices."""
    alpha: int = Field(default=32, ge=1)
    """What the adapter's output is multiplied by, over `r`."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of the adapter's inputs that are left out at random in training."""
    target_modules: str | list[str] = "all-linear"
    """The layers that are adapted, by their names, or `all-linear`."""
    last_layers: int | None = Field(default=None, ge=1)
    """Adapt only the last so many layers, which spares the backward pass through the others. None: all layers."""


class ObjectiveSettings(Section):
    """The numbers in the objectives' formulas; each objective says which it uses."""

    beta: float | None = Field(default=None, gt=0)
    """How strongly a preference pulls (dpo, simpo, kto). None: the objective's own, 0.1 (dpo, kto) or 2 (simpo)."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5)
    """Share of preferences believed to be the wrong way round (dpo)."""
    nll_weight: float | None = Field(default=None, ge=0)
    """Weight of a likelihood term beside the preference: of the chosen text (dpo, simpo) or of the teacher's text
    (brio). None: the objective's own, 0.1 for dpo, 0 for simpo, 1 for brio."""
    ld_alpha: float = Field(default=1.0, ge=0, le=1)
    """Weight of the tokens past the shorter text's length (dpo): 1 is plain DPO, less is LD-DPO."""
    gamma_beta_ratio: float = Field(default=0.5, ge=0)
    """SimPO's target margin over its beta."""
    rank_weight: float = Field(default=1.0, gt=0)
    """Weight of BRIO's ranking term."""
    length_penalty: float = Field(default=1.0, ge=0)
    """BRIO's exponent of the length by which a sequence's log-probability is divided."""
    desirable_weight: float = Field(default=1.0, gt=0)
    """Weight of good texts (kto)."""
    undesirable_weight: float = Field(default=1.0, gt=0)
    """Weight of bad texts (kto)."""


class FineTuneSettings(ObjectiveSettings):
    """One fine-tuning."""

    margin_weights: bool = False
    """Whether a preference counts (dpo, simpo, kto, brio) by how sure the critic was of it, relative to the mean of
    what is trained on; one without a verdict counts 1."""

    epochs: float = Field(default=2.0, gt=0)
    """How often each example is learned from."""
    steps: int | None = Field(default=None, ge=1)
    """Optimizer steps in place of epochs, so that trainings on more or fewer examples take as many. None: by epochs."""
    learning_rate: float = Field(default=5e-4, gt=0)
    """The highest, which the warm-up ends at."""
    batch_size: int = Field(default=16, ge=1)
    """Examples (for a pairwise objective: pairs) per optimizer step."""
    micro_batch_size: int | None = Field(default=None, ge=1)
    """Examples that go through the model together; gradients add up to a batch. None: the whole batch."""
    warmup_ratio: float = Field(default=0.1, ge=0, lt=1)
    """Share of the steps over which the learning rate rises; it then falls linearly to zero."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    """Gradients with a larger norm are scaled down to it."""
    max_length: int = Field(default=512, ge=8)
    """Prompt and completion together; longer examples are left out and counted."""
    holdout_ratio: float = Field(default=0.0, ge=0, lt=0.5)
    """Share of the examples held out to stop early by; 0 trains on all of them to the end."""
    eval_steps: int = Field(default=10, ge=1)
    """Optimizer steps between two looks at the held-out loss."""
    patience: int = Field(default=2, ge=1)
    """Looks without a better held-out loss before training stops; the best state is kept."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """What the model computes in. `auto`: bfloat16 where the device has it, else float32."""
    gradient_checkpointing: bool = False
    """Compute activations again instead of keeping them: less memory, more time."""
    cuda_graphs: bool = True
    """On a GPU: capture the passes of a causal student once for each size of a batch, and launch them as a whole from
    then on. Not with float16 or gradient_checkpointing."""
    save_steps: int | None = Field(default=50, ge=1)
    """Optimizer steps between two checkpoints, from which a trainer that was killed goes on. None: it begins anew."""


class TrainingSettings(FineTuneSettings):
    """Fine-tuning on the critic's feedback, once per round."""

    objective: str = "dpo"
    """`sft` goes on with the teacher's demonstrations (the paper's control), `sd` learns the preferred texts; `dpo`,
    `simpo`, `kto` learn from pairs, `brio` from rankings; `brio-dpo` is BRIO on the teacher's pairs, then DPO. `opd` is
    on-policy distillation: the teacher's endpoint says how likely it finds each token of the student's drafts, and no
    critic is asked. It needs a teacher with the student's tokenizer, whose endpoint scores prompts.
    `module:attribute` names one of your own, a subclass of `openmic.Objective` or an instance of it."""
    objective_kwargs: dict[str, Any] = Field(default_factory=dict)
    """What an objective of your own is made with. Those that ship take their numbers from the keys above."""
    learning_rate: float = Field(default=2e-4, gt=0)
    """The highest, which the warm-up ends at."""
    train_every: int | None = Field(default=None, ge=1)
    """Train whenever so many new preferences have come together, while dialogues go on. None: once per round."""
    overlap: Literal["auto", "always", "never"] = "auto"
    """With `train_every`: whether the students go on generating while the trainer trains. `auto`: where there is room
    for both, which is on a GPU, on several nodes, or with 8 CPUs or more; else they wait, and nothing is lost."""
    max_staleness: int | Literal["auto"] | None = "auto"
    """By how many versions the student that wrote a preference's texts may be behind the promoted one for it to be
    trained on; with `train_every` a dialogue begins only if it will not be. None: any. `auto`: 1 for dpo, simpo, kto,
    brio and brio-dpo, which compare likelihoods under the student as it is; any for sft and sd. It plays no part for
    opd, which learns from the drafts of the very version that is trained."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads for training and for generation, which take turns. None: all cores."""
    workers: int = Field(default=1, ge=1)
    """Processes that train together, each on its share of every batch."""
    cpus_per_worker: float = Field(default=1.0, ge=0)
    """CPUs that Ray sets aside for each."""
    gpus_per_worker: float = Field(default=0.0, ge=0)
    """GPUs that Ray sets aside for each."""
    resources: dict[str, float] = Field(default_factory=dict)
    """Custom Ray resources that each needs, to have them on certain nodes: {"trainer": 1}."""
    lora: LoRASettings = LoRASettings()
    """The adapter's shape, of imitation too."""

    @property
    def from_drafts(self) -> bool:
        """Whether dialogues are drafts with the teacher's log-probabilities, and nothing else."""
        return self.objective in LEARNS_FROM_DRAFTS

    @model_validator(mode="after")
    def _kwargs_have_somebody_to_take_them(self) -> Self:
        if self.objective_kwargs and ":" not in self.objective:
            raise ValueError(
                f"objective_kwargs are for an objective of your own, not for {self.objective}; leave them out, and set "
                "its numbers beside it, such as training.beta"
            )
        return self


def staleness_limit(max_staleness: int | Literal["auto"] | None, *, tolerant: bool) -> int | None:
    """What `training.max_staleness` comes to for an objective that is tolerant of staleness or not; None for any."""
    if max_staleness != "auto":
        return max_staleness
    return None if tolerant else DEFAULT_STALENESS


class ImitationSettings(FineTuneSettings):
    """The first phase: fine-tuning on the teacher's demonstrations."""

    inputs: int | None = Field(default=None, ge=1)
    """How many training inputs get demonstrations. None: all."""
    demonstrations: int = Field(default=3, ge=1, le=20)
    """Demonstrations per input, asked for in one request."""
