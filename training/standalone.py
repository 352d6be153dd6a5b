"""Training and using a student in this process, without a run, a store or Ray.

`train` fine-tunes an adapter on texts, pairs or rankings that are given; `load_student` answers prompts. The loop, the
losses and the generation are those of a run. Not for several devices or for going on after an interruption.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypedDict, TypeVar, Unpack, overload

from pydantic import ValidationError

from ..core.errors import ConfigError, GenerationError, TrainingError
from ..core.ids import derive_seed
from ..core.nearest_key import nearest_key
from ..core.records import (
    NO_ADAPTER,
    UNSETTLED,
    AdapterRef,
    AnswerSampling,
    GenerationRequest,
    StudentSampling,
    TrainingExample,
    TrainingMetrics,
)
from ..core.row_files import rows_given
from ..core.section import Section, from_home
from ..core.student_settings import StudentWeights
from ..core.training_settings import FineTuneSettings, LoRASettings
from .example_forms import as_examples, as_messages
from .loop.job import TrainingProgress

if TYPE_CHECKING:  # torch takes seconds to import
    from .objectives import Objective

Prompts = list[Any] | tuple[Any, ...]
"""Several of them, each a text or a whole conversation; a list is not taken for one of its parts, as a `Sequence` would
be."""

StudentLike = str | Path | StudentWeights | Mapping[str, Any]
"""What names a student."""

S = TypeVar("S", bound=Section)
_USUAL = AnswerSampling().settled(UNSETTLED)
"""How a student answers where nothing else is asked."""
VERSION = 1
"""Of the one adapter in an output folder."""


@dataclass(frozen=True, slots=True)
class TrainedAdapter:
    """What `train` made."""

    path: Path
    """The adapter's folder, as `load_student` and PEFT read it."""
    metrics: TrainingMetrics


def train(
    examples: Iterable[TrainingExample | Sequence[Any] | Mapping[str, Any]],
    *,
    output: str | Path,
    objective: "str | Objective | type[Objective]" = "sft",
    student: StudentLike = "smollm2-135m-instruct",
    start: str | Path | None = None,
    settings: FineTuneSettings | Mapping[str, Any] | None = None,
    lora: LoRASettings | Mapping[str, Any] | None = None,
    seed: int = 0,
    device: str = "auto",
    chat_template_kwargs: Mapping[str, Any] | None = None,
    progress: Callable[[TrainingProgress], None] | None = None,
) -> TrainedAdapter:
    """Fine-tune an adapter of a student on examples, and write it to a folder.

    Args:
        examples: (prompt, completion) for an objective that imitates, (prompt, chosen, rejected) for one that learns
            from pairs, (prompt, completions from best to worst) for one that learns from rankings; or rows with such
            keys, as `Run.preferences`, a `Dataset` or a DataFrame has them; or ready records.
        output: The folder under which the adapter is written; there must be none in it yet.
        objective: A name that ships, `module:attribute`, or an `Objective`.
        student: A hub id, a folder, or the name of packaged weights; or a mapping of `model`, `revision`, `dtype`,
            `quantization` and the like, as under `student`.
        start: An adapter's folder to go on from, which is also the reference of an objective that has one.
        settings: `epochs`, `learning_rate`, `batch_size` and the like, as under `training`. Default: as for imitation.
        lora: `r`, `alpha` and the like of a new adapter, as under `training.lora`.
        seed: Fixes the new adapter's weights, the order of the examples, and dropout.
        device: `auto`, `cpu`, `cuda`, …
        chat_template_kwargs: What the student's chat template is given.
        progress: Called after every optimizer step.

    Raises:
        ConfigError: there is no such objective or device, an example is in no form it can have, or `output` holds an
            adapter or cannot be written.
        StudentError: there is no such student.
        AdapterError: `start` is broken, or is another student's.
        TrainingError: there is nothing to train on, or an example does not fit the objective.
    """
    from .adapters.adapters import MANIFEST, commit_adapter, committed_adapter, file_sha256, verify_adapter
    from .adapters.carried import carried_files
    from .adapters.lora import adapted
    from .adapters.storage import try_writing
    from .loop.fine_tune import fine_tune
    from .objectives import as_objective, load_objective
    from .objectives.trial import try_objective
    from .student.device import check_device
    from .student.published import published_base
    from .student.student import load_student as load_model

    learned = load_objective(objective, where="objective") if isinstance(objective, str) else objective
    loss = as_objective(learned, where="objective")
    name = objective if isinstance(objective, str) else type(loss).__qualname__
    shape, numbers = _settings(LoRASettings, lora, "lora"), _settings(FineTuneSettings, settings, "settings")
    records = as_examples(examples)
    if not records:
        raise TrainingError("nothing to train on: there are no examples")
    check_device(device)
    if not isinstance(output, str | Path):
        raise ConfigError(f"output: {output!r:.80} is no folder; name one, under which the adapter is written")
    output = from_home(output)
    if committed_adapter(output, VERSION) is not None:
        raise ConfigError(f"output {output!r} holds an adapter, which never changes; name another folder")
    try_writing(output, "output")
    try_objective(loss, numbers, where=f"objective {name}")
    folder = None if start is None else verify_adapter(adapter_ref(start))
    weights = _weights(student)
    model = load_model(weights, device=device, template_kwargs=chat_template_kwargs)
    wrapped = adapted(model, shape, seed=seed, start=folder)
    metrics = fine_tune(
        model,
        wrapped,
        records,
        objective=loss,
        name=name,
        settings=numbers,
        seed=seed,
        on_progress=progress or (lambda _: None),
    )
    facts = {"parent": None if folder is None else file_sha256(folder / MANIFEST), "objective": name}
    base = published_base(weights)
    carries = carried_files(model, base, {}, version=VERSION, objective=name, rank=wrapped.active_peft_config.r)
    ref = commit_adapter(wrapped, output, VERSION, facts, base=base, carries=carries)
    return TrainedAdapter(Path(str(ref.uri)), metrics)


def _weights(student: StudentLike) -> StudentWeights:
    """The weights that are meant by a name, a mapping or settings."""
    from .student.student import as_weights

    return _settings(StudentWeights, student, "student") if isinstance(student, Mapping) else as_weights(student)


def _settings(kind: type[S], given: S | Mapping[str, Any] | None, where: str) -> S:
    """Settings that were given as such, as a mapping, or not at all.

    Raises:
        ConfigError: there is no such key, or a value is wrong.
    """
    if isinstance(given, kind):
        return given
    if given is not None and not isinstance(given, Mapping):
        raise ConfigError(f"{where}: {given!r:.80} is neither {kind.__name__} nor a mapping of such keys")
    try:
        return kind.model_validate(dict(given or {}))
    except ValidationError as error:
        wrong = error.errors()[0]
        key = ".".join(str(part) for part in wrong["loc"])
        if wrong["type"] == "extra_forbidden":
            parts = tuple(str(part) for part in wrong["loc"])
            raise ConfigError(f"{where}: unknown key {key!r}{nearest_key(kind, parts)}") from None
        raise ConfigError(f"{where}: {key}: {wrong['msg']} (given: {wrong['input']!r:.80})") from None


def _sampling(**given: Any) -> StudentSampling:
    """How to sample; a ConfigError where it cannot be meant."""
    try:
        return StudentSampling(**given)
    except ValidationError as error:
        wrong = error.errors()[0]
        raise ConfigError(f"{wrong['loc'][0]}: {wrong['msg']} (given: {wrong['input']!r:.80})") from None


class _Sampling(TypedDict, total=False):
    temperature: float
    top_p: float
    max_tokens: int
    seed: int


class Student:
    """A student in this process. Call it; close it, or use it as a context manager, to free its memory."""

    def __init__(
        self,
        model: StudentLike,
        adapter: str | Path | None = None,
        device: str = "auto",
        chat_template_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        """See `load_student`."""
        from .engines.static import BatchGenerator
        from .student.student import load_student as load_model

        student = load_model(_weights(model), device=device, template_kwargs=chat_template_kwargs)
        self._generator: BatchGenerator | None = BatchGenerator(student, max_batch=64)
        self._version = NO_ADAPTER.version
        if adapter is not None:
            ref = adapter_ref(adapter)
            self._generator.load(ref)
            self._version = ref.version

    @overload
    def __call__(self, prompts: str, *, n: int, **sampling: Unpack[_Sampling]) -> list[str]: ...
    @overload
    def __call__(self, prompts: str, *, n: None = ..., **sampling: Unpack[_Sampling]) -> str: ...
    @overload
    def __call__(self, prompts: Prompts, *, n: int, **sampling: Unpack[_Sampling]) -> list[list[str]]: ...
    @overload
    def __call__(self, prompts: Prompts, *, n: None = ..., **sampling: Unpack[_Sampling]) -> list[str]: ...

    def __call__(
        self,
        prompts: str | Prompts,
        *,
        n: int | None = None,
        temperature: float = _USUAL.temperature,
        top_p: float = _USUAL.top_p,
        max_tokens: int = _USUAL.max_tokens,
        seed: int = 0,
    ) -> Any:
        """Answer a text, or each of a list of texts or conversations.

        Args:
            prompts: What is asked. The same prompt with the same seed is answered the same, whatever else is asked.
            n: Answers per prompt, in a list. None: one, by itself.
            temperature: 0 takes the likeliest token each time. Default: 0.7, as a run's evaluations sample.
            top_p: Share of the probability from which tokens are drawn. Default: 0.9, as there.
            max_tokens: Where an answer ends at the latest. Default: 128, as nothing is known of how long answers are.
            seed: Another one draws other answers.

        Raises:
            ConfigError: a prompt is neither a text nor a conversation, or it cannot be sampled so.
            GenerationError: a prompt is too long for the student, or it is closed.
        """
        if self._generator is None:
            raise GenerationError("the student is closed; load it again")
        if n is not None and (not isinstance(n, int) or isinstance(n, bool) or n < 1):
            raise ConfigError(f"n: {n!r} is no number of answers; give 1 or more, or leave it out for one by itself")
        sampling = _sampling(temperature=temperature, top_p=top_p, max_tokens=max_tokens)
        asked = [prompts] if isinstance(prompts, str) else rows_given(prompts, "prompts", "a text or a conversation")
        requests = [
            GenerationRequest(f"{place}:{draw}", messages, sampling, derive_seed(seed, "student", draw), self._version)
            for place, messages in enumerate(as_messages(one, f"prompt {place}") for place, one in enumerate(asked))
            for draw in range(n or 1)
        ]
        texts = [generation.text for generation in self._generator.generate(requests)]
        answers: list[Any] = texts if n is None else [texts[i : i + n] for i in range(0, len(texts), n)]
        return answers[0] if isinstance(prompts, str) else answers

    def close(self) -> None:
        """Free the model; may be called again."""
        self._generator = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def load_student(
    model: StudentLike,
    adapter: str | Path | None = None,
    device: str = "auto",
    chat_template_kwargs: Mapping[str, Any] | None = None,
) -> Student:
    """Load a student to be called: `student("text")`, `student(["a", "b"], n=4, temperature=0.7)`.

    Args:
        model: A hub id, a folder, or the name of packaged weights; or a mapping of `model`, `revision`, `dtype`,
            `quantization` and the like, as under `student`.
        adapter: The folder of an adapter. None: the bare model.
        device: `auto`, `cpu`, `cuda`, …
        chat_template_kwargs: What its chat template is given. By default a model that thinks is told not to.

    Raises:
        StudentError: there is no such student, or its weights are pickled.
        ConfigError: there is no such device.
        AdapterError: the adapter is broken, or does not fit.
    """
    return Student(model, adapter, device, chat_template_kwargs)


def adapter_ref(folder: str | Path) -> AdapterRef:
    """The reference to an adapter's folder.

    Raises:
        AdapterError: it has no manifest that says which version it is.
    """
    from .adapters.adapters import adapter_version

    folder = from_home(folder)
    return AdapterRef(adapter_version(folder), folder)
