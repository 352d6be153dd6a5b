"""The student's part of the configuration: which model it is, which engine generates with it, and its actors."""

import re
from math import ceil
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from .endpoints.secrets import refuse_secret_address
from .plugs import Plug
from .records import DraftSampling
from .section import Section

ENGINES = ("auto", "static", "continuous", "slots", "vllm", "endpoint")
"""The engines that ship."""
WITHOUT_BEAMS = ("continuous", "slots", "vllm", "endpoint")
"""Those of them that search no beams."""
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?(@[\w./-]+)?")
LARGEST_LORA_RANK = 512
"""Of adapters that vLLM takes."""


class ContinuousSettings(Section):
    """Limits of the `continuous` engine, fixed so that it never takes what memory it finds."""

    cache_tokens: int = Field(default=32768, ge=256)
    """Tokens, prompts included, whose keys and values are kept for all requests in progress together."""
    step_tokens: int = Field(default=512, ge=16)
    """Tokens that go through the model in one step; a longer prompt is read in several."""


class SlotsSettings(Section):
    """The fixed sizes of the `slots` engine; `max_batch` is how many slots it has."""

    max_length: int = Field(default=1024, ge=64)
    """Tokens, its prompt included, that each slot has room for."""
    prefill_tokens: int = Field(default=8192, ge=64)
    """Prompt tokens, padding included, that go through the model together."""


class StudentEndpointSettings(Section):
    """An OpenAI-compatible server that holds the student and loads LoRA adapters while it runs."""

    base_url: str
    """Such as http://gpu-1:8000/v1."""
    server: Literal["vllm", "sglang"] = "vllm"
    """Whose calls it takes. vLLM needs --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True."""
    model: str | None = None
    """The base model's name on the server. Default: student.model."""
    api_key_env: str = "OPENMIC_STUDENT_API_KEY"
    """The environment variable that holds the key, where the server wants one."""
    timeout_s: float = Field(default=120.0, gt=0)
    """Seconds one attempt may take."""
    max_retries: int = Field(default=20, ge=0)
    """Further attempts after a rate limit, a server error, a time-out or a lost connection. Twenty last longer than a
    server takes to start. A server that answers nobody for two attempts of `timeout_s` is asked no more."""

    @field_validator("base_url")
    @classmethod
    def _no_secret_in_the_address(cls, url: str) -> str:
        refuse_secret_address(url)
        return url


class VLLMSettings(Section):
    """The server that the engine `vllm` starts. What is not here is set by `arguments`."""

    python: Path | None = None
    """The interpreter of the environment that vLLM is installed in, such as ~/vllm/bin/python. None: this one."""
    tensor_parallel_size: int = Field(default=1, ge=1)
    """GPUs that the model is spread over, in each of the student's actors."""
    gpu_memory_utilization: float = Field(default=0.5, gt=0, le=1)
    """Share of a GPU's memory (without one, of the machine's) for weights, keys and values together. The rest is the
    trainer's, where it works on the same GPU."""
    max_loras: int = Field(default=4, ge=1)
    """Adapters whose requests may share a batch. A run has up to four at once; with fewer some wait for their turn."""
    max_lora_rank: int | None = Field(default=None, ge=1, le=LARGEST_LORA_RANK)
    """The largest rank of an adapter; at least training.lora.r."""
    arguments: tuple[str, ...] = ()
    """Further arguments of `vllm serve`, such as ["--max-model-len", "4096"]; the last one of a name counts."""
    start_timeout_s: float = Field(default=600.0, gt=0)
    """Seconds a start may take."""
    timeout_s: float = Field(default=120.0, gt=0)
    """Seconds in which the server has to answer somebody, and a second more for every four tokens of the longest answer
    that is asked for; one that answers nobody for four times as long ends the run."""


class PoolSettings(Section):
    """The student's actors: how many there are, what each takes, and how much waits for each."""

    actors: int = Field(default=1, ge=1)
    """Actors to begin with, each with the whole model."""
    min_actors: int | None = Field(default=None, ge=1)
    """Actors that are kept however little there is to do. None: as many as `actors`."""
    max_actors: int | None = Field(default=None, ge=1)
    """Actors that may be had when much is waiting. None: as many as `actors`."""
    cpus_per_actor: float = Field(default=1.0, ge=0)
    """CPUs that Ray sets aside for each."""
    gpus_per_actor: float = Field(default=0.0, ge=0)
    """GPUs that Ray sets aside for each; below 1, actors share a GPU."""
    resources: dict[str, float] = Field(default_factory=dict)
    """Custom Ray resources that each needs, to have them on certain nodes: {"student": 1}."""
    max_in_flight: int = Field(default=512, ge=1)
    """Requests an actor holds at once, its batch included; beyond that dialogues wait for their turn."""
    max_retries: int = Field(default=3, ge=0)
    """How often a request is sent again because the actor that had it died."""
    restart_timeout_s: float = Field(default=300.0, gt=0)
    """How long requests wait for an actor to come back when none is left."""
    scale_up_above: float = Field(default=128.0, gt=0)
    """Requests per actor, in flight or waiting, above which one more actor is started."""
    scale_up_after_s: float = Field(default=5.0, ge=0)
    """How long it must have been so."""
    scale_down_below: float = Field(default=16.0, ge=0)
    """Requests per actor below which one is let go, once it has answered what it has."""
    scale_down_after_s: float = Field(default=60.0, ge=0)
    """How long it must have been so."""

    @model_validator(mode="after")
    def _ranges_are_ranges(self) -> Self:
        if not self.fewest <= self.actors <= self.most:
            raise ValueError(
                f"actors={self.actors} must lie between min_actors={self.fewest} and max_actors={self.most}"
            )
        if self.scale_down_below >= self.scale_up_above:
            raise ValueError(
                f"scale_down_below={self.scale_down_below:g} must be less than scale_up_above="
                f"{self.scale_up_above:g}, or the pool would grow and shrink without end"
            )
        return self

    @property
    def fewest(self) -> int:
        """Actors that are always kept."""
        return self.actors if self.min_actors is None else self.min_actors

    @property
    def most(self) -> int:
        """Actors there may ever be."""
        return self.actors if self.max_actors is None else self.max_actors

    @property
    def cpus(self) -> int:
        """CPUs that the most actors there may be take together."""
        return ceil(self.most * self.cpus_per_actor)


class StudentWeights(Section):
    """Which weights the student has, and in what form: the same where it generates and where it is trained."""

    model: str = "smollm2-135m-instruct"
    """A hub id, a folder, or `smollm2-135m-instruct` (weights from a Python package)."""
    revision: str | None = Field(default=None, min_length=1)
    """Of a hub id: a branch, a tag or a commit. None: its main branch. A run stays with the commit that it begins with
    and records it."""
    published_as: str | None = Field(default=None, min_length=1)
    """The hub id of the weights, with @REVISION where wanted, where `model` is a folder. Adapters and their cards name
    it as their base model."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """What the weights are kept in. `auto`: bfloat16 on a GPU, else float32."""
    quantization: Literal["4bit"] | None = None
    """`4bit` keeps the linear layers in 4 bits (NF4) and trains adapters around them, which is QLoRA. Needs the extra
    `quantization`."""
    trust_remote_code: bool = False
    """Whether code that comes with the model is run. Nobody is ever asked."""
    pickled_weights: bool = False
    """Whether weights may be read that are pickled (`pytorch_model.bin`). Code in them is not run even then."""

    @field_validator("published_as")
    @classmethod
    def _is_no_path(cls, name: str | None) -> str | None:
        if name is not None and not _HUB_ID.fullmatch(name):
            raise ValueError(f"{name!r} is no hub id; give one such as ORGANISATION/MODEL or ORGANISATION/MODEL@COMMIT")
        return name

    @property
    def weights(self) -> "StudentWeights":
        """These keys alone."""
        return StudentWeights.model_validate({name: getattr(self, name) for name in StudentWeights.model_fields})

    @property
    def full_name(self) -> str:
        """The model's name, and its revision behind an @ where it has one."""
        return self.model if self.revision is None else f"{self.model}@{self.revision}"


class StudentSettings(StudentWeights):
    """The small model."""

    engine: str = "auto"
    """`static` generates batch by batch and can do everything; `continuous` lets requests join and leave at every
    token, and `slots` does so in fixed shapes, which a GPU replays as CUDA graphs; `vllm` starts a vLLM server, and
    `endpoint` asks one that is there (all four for causal students, without beams). `auto` is continuous on a CPU and
    slots on a GPU for architectures that they are tested with, vllm on a GPU where vLLM is installed, else static.
    `module:attribute` is one of your own."""
    engine_kwargs: dict[str, Any] = Field(default_factory=dict)
    """What an engine of your own is made with, besides these settings."""
    chat_template_kwargs: dict[str, Any] = Field(default_factory=dict)
    """What the student's chat template is given. By default a model that thinks is told not to (`enable_thinking` and
    `thinking` are false), since a draft has no room for thoughts; {enable_thinking: true} lets it."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:1`, …"""
    max_batch: int = Field(default=64, ge=1)
    """Sequences generated together."""
    batch_wait_ms: float = Field(default=30.0, ge=0)
    """How long a batch of the static engine waits for one more to join it."""
    continuous: ContinuousSettings = ContinuousSettings()
    """For the engine `continuous`."""
    slots: SlotsSettings = SlotsSettings()
    """For the engine `slots`."""
    vllm: VLLMSettings = VLLMSettings()
    """For the engine `vllm`."""
    endpoint: StudentEndpointSettings | None = None
    """Where the student is served; for the engine `endpoint`."""
    sampling: DraftSampling = DraftSampling()
    """How drafts and revisions are sampled. With `num_beams` the candidates are the best beams of one search."""
    pool: PoolSettings = PoolSettings()
    """The processes that generate."""

    @field_validator("engine")
    @classmethod
    def _ships_or_is_a_path(cls, engine: str) -> str:
        if engine not in ENGINES and ":" not in engine:
            raise ValueError(f"{engine!r} is none of {', '.join(ENGINES)}; name your own as module:attribute")
        return Plug(use=engine).use  # its form is checked before anything is imported

    @model_validator(mode="after")
    def _engine_can(self) -> Self:
        if self.engine == "endpoint" and self.endpoint is None:
            raise ValueError("engine=endpoint needs endpoint.base_url, the server that holds the student")
        if self.engine in WITHOUT_BEAMS and self.sampling.num_beams > 1:
            raise ValueError(
                f"engine={self.engine} has no beam search; set sampling.num_beams to 1, or engine to static"
            )
        gpus, spread = self.pool.gpus_per_actor, self.vllm.tensor_parallel_size
        # One process may have a share of a GPU; several that belong together have one each.
        if spread > 1 and 0 < gpus < spread and self.engine in {"auto", "vllm"}:
            raise ValueError(
                f"vllm.tensor_parallel_size={spread} takes as many GPUs, and pool.gpus_per_actor is {gpus:g}; set both "
                "to the same number"
            )
        if self.engine_kwargs and self.own_engine is None:
            raise ValueError(f"engine_kwargs are for an engine of your own, not for {self.engine}; leave them out")
        return self

    def searching(self, num_beams: int) -> "StudentSettings":
        """These settings, with an engine that searches so many beams for an evaluation.

        Raises:
            ValueError: the engine that is named does not.
        """
        if num_beams == 1 or self.engine == "static" or self.own_engine is not None:
            return self  # one of one's own says itself whether it has beams, once it is imported
        if self.engine == "auto":
            return self.model_copy(update={"engine": "static"})
        raise ValueError(
            f"student.engine={self.engine} has no beam search, and evaluation.sampling.num_beams is {num_beams}; set "
            "that to 1, or student.engine to static"
        )

    def taking_rank(self, rank: int) -> "StudentSettings":
        """These settings, with a vLLM that takes adapters of that rank where one may be started.

        Raises:
            ValueError: vLLM takes none as large, and the engine is that.
        """
        if self.engine not in {"auto", "vllm"} or rank <= (self.vllm.max_lora_rank or 0):
            return self
        if rank <= LARGEST_LORA_RANK:
            return self.model_copy(update={"vllm": self.vllm.model_copy(update={"max_lora_rank": rank})})
        if self.engine == "auto":
            return self
        raise ValueError(
            f"training.lora.r={rank} is more than vLLM takes, which is {LARGEST_LORA_RANK}; lower it, or set "
            "student.engine to static"
        )

    @property
    def own_engine(self) -> Plug | None:
        """The engine's plug where it is none of those that ship."""
        return None if self.engine in ENGINES else Plug(use=self.engine, kwargs=self.engine_kwargs)
