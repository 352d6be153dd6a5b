"""The configuration of a run. Field names and their nesting are the YAML's; every default is meant for a laptop.

This file says what may be configured; `core.config_file` reads it from files, flags and the environment.
"""

import os
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, Field, ValidationError, field_validator, model_validator

from .dialogue_settings import DialogueSettings, PreferenceSettings, VerdictSettings
from .endpoints.costs import BudgetSettings, PriceSettings
from .endpoints.secrets import refuse_secret_address, refuse_secrets
from .endpoints.simulated import SimulatedCastSettings
from .errors import ConfigError
from .plugs import Plug
from .records import UNSETTLED, AnswerSampling, Role, Sampling, Split
from .section import Section, from_home
from .student_settings import StudentSettings
from .tracking_settings import TrackingSettings
from .training_settings import ImitationSettings, TrainingSettings

SIMULATED = "simulated"
"""The model name that stands for openmic's own simulated cast, served on loopback for the time of the run."""
SIMULATED_PREFIX = "sim-"
"""What the names of that cast's own models begin with."""

Word = Annotated[str, BeforeValidator(lambda value: str(value) if isinstance(value, int | float | date) else value)]
"""A text that YAML may take for a number or a date."""


Settings = TypeVar("Settings", bound=BaseModel)


class InputSettings(Section):
    """The literal texts to learn from."""

    path: Path
    """A .jsonl, .json, .csv, .tsv, .parquet or .txt file, the folder of a dataset as Hugging Face's `datasets` saves
    it, or one on the hub, `hf://OWNER/NAME`. A relative path is looked up from the configuration file's folder, and one
    that `--set` or the environment gives from the working directory; so are the other files."""
    fields: str | Annotated[tuple[str, ...], Field(min_length=1)] = "input"
    """The key (.jsonl, .json) or column (.csv, .tsv, .parquet, a dataset) that holds the text, or a list of them for
    inputs of several fields."""
    id_field: str | None = None
    """The key or column of an id of your own for each input, which exports give back."""
    metadata: tuple[str, ...] = ()
    """Keys or columns that no prompt shows and that travel along into the store and the exports."""
    split: str | None = None
    """Which split of a dataset is read. None: its only one."""
    subset: str | None = None
    """Which configuration of a dataset on the hub is read. None: its only one."""
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    """What stands between the columns of a .csv or .tsv file. None: commas, or tabs in a .tsv file; where those do not
    give the columns, semicolons, tabs or bars do if every line agrees."""
    encoding: str | None = None
    """How the file was saved, such as cp1252. None: what its byte order mark says, else UTF-8."""
    drop_duplicates: bool = False
    """Whether an input that stands there again is left out, and counted, instead of being refused."""
    dev_ratio: float = Field(default=0.1, ge=0, lt=1)
    """Share of the inputs that the promotion gate looks at. Fixed by the hash of each text."""
    test_ratio: float = Field(default=0.25, gt=0, lt=1)
    """Share of the inputs held out for the report alone. Fixed by the hash of each text."""
    limit: int | None = Field(default=None, ge=1)
    """Use only the first so many inputs."""
    max_characters: int = Field(default=100_000, ge=1)
    """A longer input, or field of one, is taken for a mistake, such as a whole file on one line."""

    @model_validator(mode="after")
    def _leave_something_to_train_on(self) -> Self:
        if self.dev_ratio + self.test_ratio >= 1:
            raise ValueError("dev_ratio and test_ratio together leave nothing to train on; make them smaller")
        return self

    @field_validator("encoding")
    @classmethod
    def _is_an_encoding(cls, name: str | None) -> str | None:
        try:
            "".encode(name or "utf-8")
        except LookupError:
            raise ValueError(f"there is no encoding {name!r}; utf-8, utf-16, cp1252 and gbk are some") from None
        return name

    @field_validator("fields")
    @classmethod
    def _each_field_once(cls, fields: str | tuple[str, ...]) -> str | tuple[str, ...]:
        names = [fields] if isinstance(fields, str) else list(fields)
        if not all(names) or len(set(names)) < len(names):
            raise ValueError(f"names of fields have to be there, and each once: {names}")
        return fields

    @property
    def field_names(self) -> tuple[str, ...]:
        """The fields of an input, one or several."""
        return (self.fields,) if isinstance(self.fields, str) else self.fields


class SamplingOverrides(Section):
    """What one endpoint's model samples with in place of what the task says; None leaves it as it is there."""

    temperature: float | None = Field(default=None, ge=0, le=2)
    """0 is greedy decoding."""
    top_p: float | None = Field(default=None, gt=0, le=1)
    """The share of probability that tokens are drawn from, the likeliest first."""
    max_tokens: int | None = Field(default=None, ge=1)
    """The most tokens of one reply."""

    def over(self, sampling: Sampling) -> Sampling:
        """`sampling`, with what is set here in its place."""
        return sampling.model_copy(update=self.model_dump(exclude_none=True))


AS_THE_TASK_SAYS = SamplingOverrides()


class EndpointSettings(Section):
    """One role's model and how fast it may be asked."""

    model: str = SIMULATED
    """A model of the endpoint, or `simulated`."""
    base_url: str | None = None
    """An OpenAI-compatible endpoint, such as http://localhost:8000/v1. Default: OPENAI_BASE_URL, else OpenAI's own."""
    api_key_env: str = "OPENAI_API_KEY"
    """The environment variable that holds the key. The key itself is never stored or printed."""
    timeout_s: float = Field(default=60.0, gt=0)
    """Seconds one attempt may take, from its sending to the last byte."""
    max_retries: int = Field(default=9, ge=0)
    """Further attempts at a request that fails by a server error, a time-out or half an answer while others are
    answered; then what asked it fails."""
    patience_s: float = Field(default=150.0, ge=0)
    """Seconds that an endpoint is waited for which answers nobody, or turns away key or account: one call tries again
    and again, all others wait. Then the run stops, and can be resumed. 150 outlast the start of a server."""
    max_concurrency: int = Field(default=16, ge=1)
    """Calls of this role in flight at once."""
    requests_per_minute: int | None = Field(default=None, ge=1)
    """None: no limit of our own."""
    tokens_per_minute: int | None = Field(default=None, ge=1)
    """Prompt and reply together. None: no limit of our own."""
    headers: dict[str, Word] = Field(default_factory=dict)
    """Sent with every request, such as `api-key: ${AZURE_KEY}`. `${NAME}` is the environment variable of that name,
    read when it is sent: what it holds is never stored or printed."""
    query: dict[str, Word] = Field(default_factory=dict)
    """Laid after the address of every request, such as `api-version: 2024-10-21`; `${NAME}` as in headers."""
    extra_body: dict[str, Any] = Field(default_factory=dict)
    """Laid over the body of every chat completion, for what an endpoint has of its own; `${NAME}` as in headers."""
    reasoning_effort: str | None = None
    """How long a reasoning model may think: `low`, `medium`, … None: nothing is said about it."""
    sampling: SamplingOverrides = AS_THE_TASK_SAYS
    """`temperature`, `top_p` and `max_tokens` of this model's demonstrations or critiques, where other than the task
    says. Comparisons are drawn as `verdict` says."""
    batch: bool = False
    """Whether what is known beforehand is asked in batches (docs/how-to/endpoints.md): half the price, within a day."""
    price: PriceSettings | None = None
    """What it charges singly. None: as the price list says, which knows the providers' own addresses and models."""

    @field_validator("headers", "query")
    @classmethod
    def _secrets_stay_outside(cls, given: dict[str, str]) -> dict[str, str]:
        refuse_secrets(given)
        return given

    @field_validator("base_url")
    @classmethod
    def _no_secret_in_the_address(cls, url: str | None) -> str | None:
        refuse_secret_address(url or "")
        return url

    @field_validator("extra_body")
    @classmethod
    def _what_openmic_says_itself(cls, given: dict[str, Any]) -> dict[str, Any]:
        if taken := sorted(given.keys() & {"messages", "model", "stream", "n"}):
            raise ValueError(f"{', '.join(taken)} is openmic's to say; leave it out")
        refuse_secrets(given, body=True)
        return given

    @property
    def simulated(self) -> bool:
        """Whether openmic's own simulated cast plays this role."""
        return self.plug is None and self.model == SIMULATED

    @property
    def plug(self) -> Plug | None:
        """The Python object that plays this role in place of an endpoint, where there is one."""
        return None

    @property
    def asked(self) -> bool:
        """Whether an endpoint is asked at all."""
        return self.plug is None


class PlugOrEndpoint(EndpointSettings):
    """Who plays a role: a model of an endpoint's, or a Python object in its place."""

    use: str | None = None
    """A Python object in place of a model: a name that ships, or `module:attribute`."""
    kwargs: dict[str, Any] = Field(default_factory=dict)
    """What the attribute is called with, where it is a class or a function that makes the object."""

    @model_validator(mode="after")
    def _one_of_the_two(self) -> Self:
        if self.use is not None and self.model != SIMULATED:
            raise ValueError(f"use={self.use} and model={self.model} exclude each other; leave one of them out")
        if self.use is None and self.kwargs:
            raise ValueError("kwargs are for what `use` names; set it, or leave them out")
        if self.use is not None:
            Plug(use=self.use)  # its form is checked before anything is imported
        return self

    @property
    def plug(self) -> Plug | None:
        """The Python object that plays this role in place of an endpoint, where there is one."""
        return None if self.use is None else Plug(use=self.use, kwargs=self.kwargs)


class TeacherSettings(PlugOrEndpoint):
    """Who demonstrates: an endpoint's model, demonstrations that exist already, or a function of input and count."""

    demonstrations: Path | None = None
    """A .jsonl, .json, .csv, .tsv or .parquet file, or a dataset as under `inputs.path`, with inputs and outputs, from
    which demonstrations are taken instead of asking anybody. A relative path is looked up from the configuration file's
    folder."""
    split: str | None = None
    """Which split of a dataset of demonstrations is read. None: its only one."""
    subset: str | None = None
    """Which configuration of one on the hub is read. None: its only one."""
    input_field: str | tuple[str, ...] = "input"
    """The key or column of `demonstrations` that holds the input, or those of its fields, as in `inputs.fields`."""
    output_field: str = "output"
    """The key or column that holds the output: a text, or a list of texts. An input may stand in several rows."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.demonstrations is not None and (self.use is not None or self.model != SIMULATED):
            raise ValueError("demonstrations take the place of a model; leave out model and use, or demonstrations")
        return self

    @property
    def asked(self) -> bool:
        """Whether an endpoint is asked at all."""
        return self.plug is None and self.demonstrations is None

    @property
    def simulated(self) -> bool:
        """Whether openmic's own simulated cast plays this role."""
        return self.asked and self.model == SIMULATED


class CriticSettings(PlugOrEndpoint):
    """Who compares: an endpoint's model, a scorer, or an object with `compare` (and `criticise`, for revisions)."""

    margin: float = Field(default=0.0, ge=0)
    """Of a scorer: scores that differ by no more than this are a tie."""
    scale: float | None = Field(default=None, gt=0)
    """Of a scorer: the difference that makes log-odds of 1 (a reward model: 1). None: the better score is certain."""


class CastSettings(Section):
    """Which model plays each role."""

    teacher: TeacherSettings = TeacherSettings()
    """Writes demonstrations."""
    references: TeacherSettings | None = None
    """Writes the held-out references that outputs are judged against. Default: the teacher."""
    critic: CriticSettings = CriticSettings()
    """Judges and criticises the student during training."""
    jury: tuple[CriticSettings, ...] = ()
    """Further critics whose verdicts count beside the critic's own, as `verdict.jury` says. They write no critiques."""
    judge: CriticSettings | None = None
    """Judges for evaluation alone. Default: simulated beside a simulated critic, else the critic itself."""
    simulated: SimulatedCastSettings = SimulatedCastSettings()
    """How the simulated cast behaves where it plays a role."""

    @model_validator(mode="after")
    def _who_only_compares_samples_as_verdicts_do(self) -> Self:
        comparing = {"judge": self.judge} | {f"jury[{place}]": member for place, member in enumerate(self.jury)}
        for key, settings in comparing.items():
            if settings is not None and settings.sampling != AS_THE_TASK_SAYS:
                raise ValueError(
                    f"{key}.sampling: it writes no text of its own but compares; how long its replies may be is "
                    "verdict.max_tokens, and labels are drawn at temperature 1, which makes them a probability"
                )
        return self

    def member(self, role: Role) -> TeacherSettings | CriticSettings:
        """The settings of one role, the judge's default filled in."""
        if role == "judge":
            return self.judge or self.critic
        return self.teacher if role == "teacher" else self.critic

    @property
    def judge_is_critic(self) -> bool:
        """Whether what judges is what the student was trained against, the simulated cast apart."""
        judge, critic = self.judge or self.critic, self.critic
        same = (judge.model, judge.base_url, judge.use, judge.kwargs) == (
            critic.model,
            critic.base_url,
            critic.use,
            critic.kwargs,
        )
        return not judge.simulated and same


class EvaluationSettings(Section):
    """How adapter versions are compared with the teacher on held-out inputs."""

    test_inputs: int | None = Field(default=None, ge=2)
    """Test inputs in the report. None: all."""
    dev_inputs: int | None = Field(default=None, ge=2)
    """Dev inputs the promotion gate looks at. None: all."""
    at_end: bool = True
    """Whether every version is judged on the test inputs when a run ends. False leaves that to `openmic evaluate`."""
    speaker: Literal["student", "teacher"] = "student"
    """Whose outputs are judged. `teacher`: another text of the teacher's for each input, against its own reference."""
    best_of: int = Field(default=1, ge=1, le=64)
    """Outputs the student writes for each input, of which the critic chooses the best by a knock-out (best-of-k)."""
    critic: bool = False
    """Whether the critic compares the outputs too, beside the judge, to see by how much it overstates them."""
    references_seed: int | None = Field(default=None, ge=0, lt=2**31)
    """Seed of the teacher's held-out references: runs that share it share them. None: the run's."""
    sampling: AnswerSampling = AnswerSampling()
    """How the student answers when it is evaluated."""
    scorers: tuple[Plug, ...] = ()
    """What scores each output besides: names that ship, such as length, faithfulness or reward_model, or
    module:attribute of functions of one's own. Each is a column of every report."""
    confidence: float = Field(default=0.95, gt=0, lt=1)
    """Of every interval: how often such intervals hold the true value."""
    bootstrap_samples: int = Field(default=2000, ge=100)
    """Samples of inputs that an interval is computed from."""
    rollback_margin: float = Field(default=0.05, ge=0, le=1)
    """A new adapter is rolled back when even the high end of its gain's interval on dev inputs is below minus this."""
    diversity_floor: float = Field(default=0.7, ge=0, le=1)
    """A new adapter is rolled back when its distinct-2 on dev inputs is below this share of the promoted one's."""

    def limit(self, split: Split) -> int | None:
        """How many inputs of a held-out split are looked at; None for all."""
        return self.dev_inputs if split is Split.DEV else self.test_inputs

    @field_validator("scorers")
    @classmethod
    def _each_scorer_has_a_name_of_its_own(cls, scorers: tuple[Plug, ...]) -> tuple[Plug, ...]:
        labels = [scorer.label for scorer in scorers]
        twice = [label for label in labels if labels.count(label) > 1]
        if twice:
            raise ValueError(f"two scorers are called {twice[0]!r}; give one of them another name")
        return scorers


class RunConfig(Section):
    """Everything a run depends on, resolved."""

    name: str = "openmic"
    """What the run is called in lists; it need not be unique."""
    task: str = "humor"
    """The name of a task that ships, a task file (relative to the configuration's folder), or `module:attribute`."""
    seed: int = Field(default=7, ge=0, lt=2**31)
    """Of everything that is drawn: texts, pairs, batches."""
    rounds: int = Field(default=1, ge=0)
    """Rounds of collect, fine-tune, evaluate, promote or roll back."""
    home: Path = Path("openmic-data")
    """The folder for the store and the folders of runs, with their adapters; relative to the working directory."""
    store: str | None = None
    """The store's file, or postgresql://USER@HOST/DATABASE. Default: openmic.db in `home`."""
    storage_uri: str | None = None
    """Where adapters are kept, so that every node finds them: a folder that all share, or s3://… and the like (as
    fsspec has it). Default: the run's folder in `home`."""
    inputs: InputSettings
    """The texts to learn from; every step takes them from here."""
    cast: CastSettings = CastSettings()
    """Who plays which role: the teacher demonstrates, the critic compares in dialogues, the judge in evaluations."""
    verdict: VerdictSettings = VerdictSettings()
    """How critic and judge compare: matters in dialogues, in evaluations and in `openmic rejudge`."""
    student: StudentSettings = StudentSettings()
    """The small model, and what generates with it: matters wherever it writes, and for its training."""
    imitation: ImitationSettings = ImitationSettings()
    """The first fine-tuning, on demonstrations: matters for adapter v1, and what follows from it."""
    dialogue: DialogueSettings = DialogueSettings()
    """How dialogues are held: matters in the step `collect`."""
    preferences: PreferenceSettings = PreferenceSettings()
    """Which preferences are made and trained on: matters in dialogues and in the fine-tuning after them."""
    training: TrainingSettings = TrainingSettings()
    """The fine-tuning on feedback, once per round or while dialogues go on: matters for every adapter after v1."""
    evaluation: EvaluationSettings = EvaluationSettings()
    """How adapters are compared on held-out inputs: matters for promotion (dev inputs) and for the report (test)."""
    budget: BudgetSettings = BudgetSettings()
    """What the run may take in all; the only part that may change when it goes on."""
    tracking: TrackingSettings = TrackingSettings()
    """Experiment trackers that get the run's figures while it goes on."""

    @field_validator("storage_uri")
    @classmethod
    def _storage_is_found_again(cls, uri: str | None) -> str | None:
        """A folder has the same name from whichever working directory a run is resumed; a password is not kept."""
        if uri is None or "://" not in uri:
            return uri if uri is None else str(Path(from_home(uri)).absolute())
        if re.search(r"://[^/@]*:[^/@]*@", uri):
            raise ValueError("it holds a password, which would be stored with the run: leave it to the environment")
        return uri

    @model_validator(mode="after")
    def _beams_are_enough(self) -> Self:
        beams = self.student.sampling.num_beams
        if 1 < beams < self.dialogue.candidates:
            raise ValueError(
                f"student.sampling.num_beams={beams} finds fewer texts than dialogue.candidates="
                f"{self.dialogue.candidates} asks for; raise the one or lower the other"
            )
        return self

    @model_validator(mode="after")
    def _student_does_what_others_ask_of_it(self) -> Self:
        student = self.student.searching(self.evaluation.sampling.num_beams).taking_rank(self.training.lora.r)
        # Nothing changes once it is read, but it is read only when this is decided.
        object.__setattr__(self, "student", student)
        return self

    @property
    def open_lengths(self) -> list[str]:
        """The keys of how long the student's texts may be, those that the demonstrations are still to settle."""
        sampling = {"student": self.student.sampling, "evaluation": self.evaluation.sampling}
        return [f"{name}.sampling.max_tokens" for name, each in sampling.items() if not each.max_tokens]

    def settled(self, max_tokens: int = UNSETTLED) -> "RunConfig":
        """The same with so many tokens wherever that is open."""
        student = self.student.model_copy(update={"sampling": self.student.sampling.settled(max_tokens)})
        evaluation = self.evaluation.model_copy(update={"sampling": self.evaluation.sampling.settled(max_tokens)})
        return self.model_copy(update={"student": student, "evaluation": evaluation})

    @property
    def store_url(self) -> str:
        """Where the transcripts are kept."""
        return self.store or str(self.home / "openmic.db")


def store_address(named: str | None) -> str:
    """The store that is meant: the one that is named, else OPENMIC_STORE, else where a run puts it by default."""
    if named or os.environ.get("OPENMIC_STORE"):
        return named or os.environ["OPENMIC_STORE"]
    home = Path(from_home(os.environ.get("OPENMIC_HOME") or RunConfig.model_fields["home"].default))
    return str(home / "openmic.db")


class Saved(Protocol):
    """A run as the store has it."""

    id: str
    config: dict[str, Any]


def saved_config(run: Saved) -> RunConfig:
    """All of it, which whoever works on a run needs.

    Raises:
        ConfigError: it has keys, or values, that this version does not know.
    """
    return _understood(run, lambda: RunConfig.model_validate(run.config))


def saved_section(run: Saved, name: str, section: type[Settings]) -> Settings:
    """One section of it, for whoever looks at a run; keys that this version does not know are passed over.

    Raises:
        ConfigError: it has values that this version does not know.
    """
    found = run.config.get(name, {})
    known = {key: found[key] for key in section.model_fields if key in found} if isinstance(found, dict) else found
    return _understood(run, lambda: section.model_validate(known))


def _understood(run: Saved, read: Callable[[], Settings]) -> Settings:
    try:
        return read()
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "all of it"
        raise ConfigError(
            f"the configuration that was saved with run {run.id} cannot be understood ({where}: {first['msg']}): use "
            "the version of openmic that began it, or restore the store from a backup if it was altered"
        ) from error
