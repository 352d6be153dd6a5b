"""How long a run will take, what bounds it and what it costs: its configuration as `scaling` wants it."""

import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ...core.config import RunConfig
from ...core.training_settings import FineTuneSettings
from ...training.objectives import phases
from ..context.prices import prices_of, seat_key, settings_key
from ..context.seats import seat_setting, seats
from ..context.train_gate import ENOUGH_CPUS
from .estimate import FALLING_BACK, AskingStage, Sizing, usage_of
from .figures import HANDED_OVER, Figures, figures_of, latency_name, on_gpu, training_name
from .scaling import Asked, EndpointSpeed, Speeds, Stage, forecast
from .work import waits_for_drafts

BYTES_PER_TURN = 1_700.0
"""Of the store, with all that is written beside a turn: `benchmarks/store.py` makes 1.7 GB of a million."""
KEPT = 0.4
"""Share of comparisons that become preferences which are trained on."""
OF_DEMONSTRATIONS = frozenset({"sft"})
"""Objectives that learn from the teacher's demonstrations once more."""
OF_ONE_TEXT = frozenset({"sft", "sd", "opd"})
"""Objectives that read one text of each example; others read two at least."""
ASSUMPTIONS = (
    "time: as long as each stage's bound takes, so at least that; starting, and what goes wrong, come on top",
    "limits of endpoints are those that are set here; what an account allows is not known",
    f"{KEPT:.0%} of the comparisons become preferences that are trained on; Python objects and scorers take no time",
)


def forecast_of(
    config: RunConfig, sizing: Sizing, given: Mapping[str, float] | None = None, *, source: str | None = None
) -> dict[str, Any]:
    """What bounds a run, how long it takes and what it costs, as a JSON object.

    Returns:
        What `scaling.Forecast` has; `why`, the bound in words; `figures`, what was taken for what nobody knows before a
        run, each with its `value` and its `source`; `assumes`, in words.

    Raises:
        ConfigError: as `figures_of`, whose arguments these are.
    """
    figures = figures_of(config, sizing, given or {}, source=source)
    found = forecast(stages_of(config, sizing, figures), speeds_of(config, figures))
    return {
        **found.as_json(),
        "why": _why(config, found.bound, figures),
        "figures": {name: asdict(figure) for name, figure in figures.items()},
        "assumes": list(ASSUMPTIONS),
    }


def speeds_of(config: RunConfig, figures: Figures) -> Speeds:
    """How fast everything is that a run works with."""
    endpoints = {
        seat_setting(seat): EndpointSpeed(
            latency_s=figures[latency_name(seat)].value,
            max_concurrency=settings.max_concurrency,
            requests_per_minute=settings.requests_per_minute,
            tokens_per_minute=settings.tokens_per_minute,
        )
        for seat, settings in seats(config.cast).items()
        if settings.asked
    }
    objectives = ("sft", config.training.objective)
    return Speeds(
        endpoints=endpoints,
        actors=config.student.pool.most,
        student_tokens_per_s=figures["student.tokens_per_s"].value,
        trainers=config.training.workers,
        training_tokens_per_s={objective: figures[training_name(objective)].value for objective in objectives},
        workers=config.dialogue.workers,
        handed_over=HANDED_OVER,
        driver_s_per_reply=figures["driver.ms_per_reply"].value / 1000,
        store_turns_per_s=figures["store.turns_per_s"].value,
        bytes_per_turn=BYTES_PER_TURN,
    )


def stages_of(config: RunConfig, sizing: Sizing, figures: Figures) -> list[Stage]:
    """What a run likely has to do, stage after stage."""
    return _Planning(config, sizing, figures["student.output_tokens"].value).stages()


class _Planning:
    def __init__(self, config: RunConfig, sizing: Sizing, output: float) -> None:
        self._config, self._sizing, self._work, self._output = config, sizing, sizing.work, output
        self._prices = prices_of(config.cast)
        self._critics = tuple(seat_setting(seat) for seat in sizing.seats if seat[0] == "critic")

    def stages(self) -> list[Stage]:
        work, rounds, overlapped = self._work, self._config.rounds, _overlapped(self._config)
        learned = self._feedback()
        found = [
            self._demonstrate(),
            Stage(name="imitate", trained_tokens={"sft": self._demonstrations(self._config.imitation)}),
            self._collect(learned if overlapped else {}),
            Stage(name="fine-tune", times=rounds, trained_tokens={} if overlapped else learned),
            self._evaluate("dev", 1 + work.candidates if work.candidates else 0, work.dev),
            self._evaluate("test", 2 + work.candidates if self._config.evaluation.at_end else 0, work.test),
        ]
        return [stage for stage in found if stage.times]

    def _demonstrate(self) -> Stage:
        work = self._work
        items = work.demonstrated + work.dev + work.test
        asked = self._asked("demonstrate")
        waits: dict[tuple[str, ...], float] = {
            (seat,): asked[seat].calls / items for seat in ("teacher", "references") if seat in asked and items
        }
        if work.paired and self._critics:
            waits[self._critics] = work.paired / items
        written = work.demonstrated * self._config.imitation.demonstrations + work.dev + work.test
        return Stage(
            name="demonstrate",
            items=items,
            at_once=self._config.cast.teacher.max_concurrency,
            waits=waits,
            asked=asked,
            turns=written + self._verdict_turns(work.paired),
        )

    def _collect(self, learned: dict[str, float]) -> Stage:
        work, dialogue, rounds = self._work, self._config.dialogue, max(1, self._config.rounds)
        scores = self._config.training.from_drafts
        revisions, items = 0 if scores else dialogue.max_revisions, work.in_dialogues
        generations = items * (dialogue.candidates + revisions)
        falls_back = FALLING_BACK if dialogue.teacher_fallback and not scores else 0.0
        asked = self._asked("collect", 1 / rounds)
        steps = [
            (self._critics, waits_for_drafts(self._config) + revisions),
            (("critic",), revisions),
            (("teacher",), 1.0 if scores else falls_back),
        ]
        waits: dict[tuple[str, ...], float] = {}
        for together, often in steps:
            if together and all(seat in asked for seat in together):
                waits[together] = waits.get(together, 0.0) + often
        return Stage(
            name="collect",
            times=self._config.rounds,
            items=items,
            at_once=dialogue.concurrency,
            waits=waits,
            asked=asked,
            generations=generations,
            generated_tokens=generations * self._output,
            trained_tokens=learned,
            by_workers=True,
            turns=generations
            + self._verdict_turns(work.compared / rounds)
            + items * (revisions + falls_back)
            + work.scored / rounds,
        )

    def _evaluate(self, split: str, times: int, items: int) -> Stage:
        settings = self._config.evaluation
        drafts = settings.best_of if settings.speaker == "student" else 0
        return Stage(
            name=f"evaluate ({split})",
            times=times,
            items=items,
            at_once=self._config.dialogue.concurrency,
            waits={("judge",): 1.0} if ("judge", 0) in self._sizing.seats else {},
            asked=self._asked("evaluate", items / max(1, self._work.evaluated)),
            generations=items * drafts,
            generated_tokens=items * drafts * self._output,
            turns=(2 + drafts) * items,  # answers, and a verdict in each order
        )

    def _asked(self, stage: AskingStage, share: float = 1.0) -> dict[str, Asked]:
        """A share of what each seat is likely asked in a stage."""
        found = {}
        for seat in self._sizing.seats:
            requests = [
                each
                for each in self._sizing.requests
                if (each.kind, each.stage, each.seat) == ("likely", stage, seat) and each.calls
            ]
            if requests:
                usd = self._prices[seat_key(seat)].dollars(usage_of(requests))
                found[seat_setting(seat)] = Asked(
                    calls=share * sum(each.calls for each in requests),
                    tokens=share * sum(each.calls * (each.prompt + each.most) for each in requests),
                    usd=None if usd is None else share * usd,
                )
        return found

    def _verdict_turns(self, comparisons: float) -> float:
        """Each of the critics says what it thinks in each order."""
        return 2 * comparisons * (1 + len(self._config.cast.jury))

    def _demonstrations(self, settings: FineTuneSettings) -> float:
        """Tokens of demonstrations with their prompts, as often as they are read."""
        shown = self._work.demonstrated * self._config.imitation.demonstrations
        return _read(settings, shown) * (self._sizing.student_prompt + self._sizing.output)

    def _feedback(self) -> dict[str, float]:
        """Tokens that are learned from after each round."""
        training = self._config.training
        if training.objective in OF_DEMONSTRATIONS:
            return {training.objective: self._demonstrations(training)}
        examples = (self._work.scored + KEPT * self._work.compared) / max(1, self._config.rounds)
        read = _read(training, examples) * (1 if training.steps is None else len(phases(training.objective)))
        texts = read * (1 if training.objective in OF_ONE_TEXT else 2)
        return {training.objective: texts * (self._sizing.student_prompt + self._output)}


def _read(settings: FineTuneSettings, examples: float) -> float:
    """How many examples a training reads, of which some may stand there again and again."""
    return settings.epochs * examples if settings.steps is None else settings.steps * settings.batch_size


def _overlapped(config: RunConfig) -> bool:
    """Whether dialogues go on while the student is trained, as far as this machine can know."""
    training, pool = config.training, config.student.pool
    if training.train_every is None or training.overlap != "auto":
        return training.train_every is not None and training.overlap == "always"
    if config.student.engine == "endpoint" or on_gpu(config, pool.gpus_per_actor or training.gpus_per_worker):
        return True
    return (os.cpu_count() or 1) >= ENOUGH_CPUS


def _why(config: RunConfig, bound: str, figures: Figures) -> str:
    """A bound in words, with the keys that move it."""
    student = figures["student.tokens_per_s"].value
    pool, training = config.student.pool, config.training
    known = {
        "": "nothing",
        "student": f"the student: {_counted(pool.most, 'actor')} of {student:,.4g} tokens/s (student.pool.actors)",
        "trainer": f"the trainer: {_counted(training.workers, 'process', 'processes')} (training.workers)",
        "driver": f"the driver: {figures['driver.ms_per_reply'].value:g} ms of one processor for each reply "
        "(dialogue.workers)",
        "store": f"the store: {figures['store.turns_per_s'].value:,.4g} turns/s",
        "places": f"replies that wait for one another (dialogue.concurrency={config.dialogue.concurrency})",
    }
    if bound in known:
        return known[bound]
    name, _, limit = bound.rpartition(".")
    [seat] = [seat for seat in seats(config.cast) if seat_setting(seat) == name]
    settings = seats(config.cast)[seat]
    latency = figures[latency_name(seat)].value
    key = f"{settings_key(config.cast, seat)}.{limit}={getattr(settings, limit)}"
    return f"the {name}: {key}" + (f", a reply in {latency:.2g} s" if limit == "max_concurrency" else "")


def _counted(number: int, one: str, several: str = "") -> str:
    return f"{number} {one if number == 1 else several or one + 's'}"
