"""A reward model as a scorer: in an actor of its own where Ray runs, else in this process."""

import asyncio
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from ...core.errors import ConfigError, OpenmicError, PlugError
from ...core.records import Input
from ...core.section import from_home
from .classifier import ClassifierSettings, Given, SequenceClassifier, fill, inspect_classifier


class _Waiting(NamedTuple):
    given: Given
    score: asyncio.Future[float]


class RewardModel:
    """Scores outputs by a sequence classifier of transformers; calls that come in together share its batches.

    A model with one output gives its logit, which is what reward models are trained for; one with several labels the
    log-odds of one of them. Weights are loaded with the first score and let go by `close`.
    """

    name = "reward_model"

    def __init__(
        self,
        model: str,
        *,
        device: str = "auto",
        batch_size: int = 16,
        max_length: int = 512,
        label: str | int | None = None,
        probability: bool = False,
        template: str | None = None,
        actor: bool | None = None,
        num_cpus: float = 0,
        num_gpus: float = 0,
    ) -> None:
        """Notes what to load; loads nothing.

        Args:
            model: A hub id, or a folder as `save_pretrained` writes it, its weights in safetensors.
            device: Such as cpu or cuda:0; `auto` takes a GPU where there is one.
            batch_size: Outputs that go through the model at once.
            max_length: Tokens of input and output together; what is longer is cut.
            label: Of a model with several labels the one that means good, by name or number.
            probability: Give the label's probability instead of its log-odds.
            template: How input and output make one text, such as "Q: {input} A: {output}"; fields of an input stand for
                themselves. Default: the tokenizer's chat template, else both as a pair of texts.
            actor: Whether it runs in an actor of its own or in this process. Default: in an actor where Ray runs.
            num_cpus: CPUs that Ray sets aside for the actor.
            num_gpus: GPUs likewise; a share lets several use one.

        Raises:
            ConfigError: a number is out of range, or the template has no `{output}`.
        """
        if batch_size < 1 or max_length < 2:
            raise ConfigError(f"reward_model: batch_size={batch_size} and max_length={max_length} are too small")
        if template is not None:
            _check_template(template)
        model = from_home(model)
        self._settings = ClassifierSettings(model, device, batch_size, max_length, label, probability, template)
        self._wants_actor, self._options = actor, {"num_cpus": num_cpus, "num_gpus": num_gpus}
        self._waiting: deque[_Waiting] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._here: SequenceClassifier | None = None
        self._actor: Any = None

    async def __call__(self, source: Input, outputs: Sequence[str]) -> list[float]:
        """One score for each output.

        Raises:
            ConfigError: as `check`, or the weights do not load.
            PlugError: the model failed.
        """
        loop = asyncio.get_running_loop()
        waiting = [_Waiting(Given(source, output), loop.create_future()) for output in outputs]
        self._waiting.extend(waiting)
        if self._worker is None or self._worker.done() or self._worker.get_loop() is not loop:
            self._worker = loop.create_task(self._work())
        return list(await asyncio.gather(*(one.score for one in waiting)))

    def check(self) -> None:
        """Look at the model's configuration, and not at its weights.

        Raises:
            ConfigError: there is no such model, it is no sequence classifier, or it has no such label.
        """
        inspect_classifier(self._settings)

    def close(self) -> None:
        """Let the weights go, and end the actor."""
        self._here = None
        actor, self._actor = self._actor, None
        if actor is not None and _ray_runs():
            import ray

            ray.kill(actor)

    async def _work(self) -> None:
        await asyncio.sleep(0)  # so that whoever calls at the same moment is in the first batch
        while self._waiting:
            size = min(self._settings.batch_size, len(self._waiting))
            batch = [self._waiting.popleft() for _ in range(size)]
            try:
                score = await self._model()
                scores = await score([one.given for one in batch])
            except Exception as error:  # each caller hears of it
                self._fail(batch, error)
            except BaseException:
                self._fail(batch, None)
                raise
            else:
                for one, value in zip(batch, scores, strict=True):
                    if not one.score.done():
                        one.score.set_result(value)

    def _fail(self, batch: Sequence[_Waiting], error: Exception | None) -> None:
        for one in batch:
            if one.score.done():
                continue
            if error is None:
                one.score.cancel()
            elif isinstance(error, OpenmicError):
                one.score.set_exception(error)
            else:
                one.score.set_exception(PlugError(f"reward_model {self._settings.model}: {error}"))

    async def _model(self) -> Callable[[list[Given]], Awaitable[list[float]]]:
        """What scores a batch, started where it is not running."""
        if self._actor is not None and not _ray_runs():
            self._actor = None
        if self._actor is None and self._here is None:
            # Here first, as an error of an actor's own start would come wrapped in Ray's.
            await asyncio.to_thread(inspect_classifier, self._settings)
            if _ray_runs() if self._wants_actor is None else self._wants_actor:
                import ray

                settings = _from_anywhere(self._settings)
                self._actor = ray.remote(SequenceClassifier).options(**self._options).remote(settings)
            else:
                self._here = await asyncio.to_thread(SequenceClassifier, self._settings)
        if self._actor is not None:
            actor = self._actor
            return lambda given: _awaited(actor.score.remote(given))
        here = self._here
        assert here is not None
        return lambda given: asyncio.to_thread(here.score, given)


async def _awaited(reference: Any) -> list[float]:
    scores: list[float] = await reference
    return scores


def _from_anywhere(settings: ClassifierSettings) -> ClassifierSettings:
    """The same for an actor, whose working folder is the one in which Ray was started."""
    folder = Path(settings.model)
    return replace(settings, model=str(folder.absolute())) if folder.is_dir() else settings


def _ray_runs() -> bool:
    ray = sys.modules.get("ray")
    return ray is not None and bool(ray.is_initialized())


def _check_template(template: str) -> None:
    example = "an output"
    try:
        if example in fill(template, Given("an input", example)):
            return
    except KeyError:
        if "{output}" in template:  # other fields are the input's own
            return
    except (IndexError, ValueError) as error:
        raise ConfigError(f"reward_model: the template {template!r} cannot be filled: {error}") from None
    raise ConfigError(f"reward_model: the template {template!r} has no {{output}}")
