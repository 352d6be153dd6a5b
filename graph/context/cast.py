"""Casting: an agent for each role, of whatever kind the configuration names or was given in Python."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...agents.cast import Critic, CritiqueWriter, EndpointCritiques, EndpointTeacher, Teacher
from ...agents.draft_logprobs import DraftLogprobs
from ...agents.llm import LLM
from ...agents.plug_cast import KnownDemonstrations, PlugCritiques, PlugTeacher
from ...agents.tasks.task import Task
from ...agents.verdicts.jury import Juror, Jury
from ...agents.verdicts.pairwise import EndpointJuror
from ...agents.verdicts.plug_jurors import CompareJuror, ScorerJuror
from ...core.config import CastSettings, CriticSettings, RunConfig, TeacherSettings
from ...core.errors import ConfigError, PlugError
from ...core.inputs import demonstrated
from ...core.records import Input, Role
from ...evaluation.scorers import SHIPPED_SCORERS, NamedScorer, as_scorer
from .plugs import Plugs
from .seats import REFERENCES, ROLES, Seat, SeatSettings, seat_model, seat_setting, seats


@dataclass(frozen=True, slots=True)
class Cast:
    """Who plays each role. A role that a run does not need is not there."""

    teacher: Teacher | None = None
    references: Teacher | None = None
    """Whoever writes held-out references: the teacher unless somebody else is named."""
    critic: Critic | None = None
    judge: Jury | None = None
    draft_logprobs: DraftLogprobs | None = None
    """The teacher's endpoint as one that says how likely it finds drafts, where the objective learns from that."""


class Casting:
    """Makes the agents of one run."""

    def __init__(self, config: RunConfig, task: Task, llm: LLM, plugs: Plugs) -> None:
        self._config, self._task, self._llm, self._plugs = config, task, llm, plugs
        self._scorers: dict[str, NamedScorer] = {}

    def cast(self, roles: Sequence[Role] = ROLES) -> Cast:
        """An agent for each of these roles.

        Raises:
            ConfigError: a Python object cannot be had, or is none that can play the role.
            InputError: a file of demonstrations cannot be read.
        """
        cast = self._config.cast
        teacher = references = critic = judge = draft_logprobs = None
        if "teacher" in roles:
            teacher = self._teacher(("teacher", 0), cast.teacher)
            references = self._references(teacher)
            if self._config.training.from_drafts and cast.teacher.asked:
                model = seat_model(("teacher", 0), cast.teacher)
                draft_logprobs = DraftLogprobs(self._llm, model, self._config.seed)
        if "critic" in roles:
            jury = self._jury("critic", cast)
            critic = Critic(jury, self._writer(cast.critic))
        if "judge" in roles:
            judge = self._jury("judge", cast)
        return Cast(teacher, references, critic, judge, draft_logprobs)

    async def try_on(self, source: Input, texts: tuple[str, str], roles: Sequence[Role] = ROLES) -> None:
        """Have every Python object that plays one of these roles do once, on one input, what it is there for.

        Raises:
            ConfigError: one cannot be had, failed, or answered what it may not.
        """
        tried: set[str] = set()
        try:
            for seat, settings in seats(self._config.cast, roles).items():
                if self._key(seat) in tried:
                    continue  # the judge is the critic, and may cost something to ask
                tried.add(self._key(seat))
                try:
                    await self._try(seat, settings, source, texts)
                except PlugError as error:
                    raise ConfigError(f"{self._key(seat)}, tried on the first input: {error}") from error
        finally:
            await self.close()

    async def _try(self, seat: Seat, settings: SeatSettings, source: Input, texts: tuple[str, str]) -> None:
        if isinstance(settings, TeacherSettings):
            teacher = self._teacher(seat, settings)  # reads a file of demonstrations
            if settings.plug is not None:
                await teacher.demonstrate(source, 1)
        elif settings.plug is not None:
            juror = self._juror(seat, settings)
            if isinstance(juror, ScorerJuror):
                await self._scorers[self._key(seat)].check(source)
            else:
                await juror.opinion(source, *texts)
            if seat == ("critic", 0) and (writer := self._writer(settings)) is not None:
                await writer.criticise(source, texts[0])

    async def close(self) -> None:
        """Let go of what scorers hold that compare, such as a reward model's weights."""
        for key, scorer in self._scorers.items():
            if self._plugs.given(key) is None:  # what was given is its owner's to close
                await scorer.close()

    def _references(self, teacher: Teacher) -> Teacher:
        """Whoever writes held-out references, which runs may share."""
        cast, seed = self._config.cast, self._config.evaluation.references_seed
        if cast.references is not None:
            return self._teacher(("teacher", REFERENCES), cast.references, seed)
        return teacher if seed is None else self._teacher(("teacher", 0), cast.teacher, seed)

    def _teacher(self, seat: Seat, settings: TeacherSettings, seed: int | None = None) -> Teacher:
        name = seat_model(seat, settings)
        if settings.demonstrations is not None:
            key = f"cast.{seat_setting(seat)}.demonstrations"
            known = demonstrated(settings, key)
            return KnownDemonstrations(known, name, self._task, taken=self._config.imitation.demonstrations)
        if settings.plug is None:
            seed = self._config.seed if seed is None else seed
            return EndpointTeacher(self._task, self._llm, name, seed, place=seat[1], sampling=settings.sampling)
        key = f"cast.{seat_setting(seat)}"
        found = self._plugs.load(key, settings.plug)
        if not (callable(found) or callable(getattr(found, "demonstrate", None))):
            raise ConfigError(f"{key}: {name} is neither a function (input, count) -> outputs nor has `demonstrate`")
        return PlugTeacher(found, name, self._task)

    def _jury(self, role: Role, cast: CastSettings) -> Jury:
        sitting = seats(cast, (role,)).items()
        return Jury([self._juror(seat, settings) for seat, settings in sitting], self._config.verdict)

    def _juror(self, seat: Seat, settings: TeacherSettings | CriticSettings) -> Juror:
        assert isinstance(settings, CriticSettings)
        (role, place), name, verdict = seat, seat_model(seat, settings), self._config.verdict
        if settings.plug is None:
            return EndpointJuror(self._task, self._llm, role, name, place, self._config.seed, verdict)
        found = self._object(seat, settings)
        if callable(getattr(found, "compare", None)):
            return CompareJuror(found, role, name, place, tie_margin=verdict.tie_margin)
        if not callable(found):
            raise ConfigError(
                f"{self._key(seat)}: {name} is neither a scorer (input, outputs) -> scores nor has `compare`"
            )
        key = self._key(seat)
        if key not in self._scorers:
            self._scorers[key] = as_scorer(found, settings.plug.label, where=key)
        return ScorerJuror(
            self._scorers[key].score,
            role,
            name,
            place,
            margin=settings.margin,
            scale=settings.scale,
            tie_margin=verdict.tie_margin,
        )

    def _writer(self, settings: CriticSettings) -> CritiqueWriter | None:
        seat: Seat = ("critic", 0)
        if settings.plug is None:
            return EndpointCritiques(
                self._task,
                self._llm,
                seat_model(seat, settings),
                self._config.seed,
                sampling=settings.sampling,
                purpose=self._config.dialogue.critique,
            )
        found = self._object(seat, settings)
        return PlugCritiques(found, settings.plug.use) if callable(getattr(found, "criticise", None)) else None

    def _object(self, seat: Seat, settings: CriticSettings) -> Any:
        assert settings.plug is not None
        return self._plugs.load(self._key(seat), settings.plug, SHIPPED_SCORERS)

    def _key(self, seat: Seat) -> str:
        """Where the object is set; a judge that is the critic itself shares the critic's."""
        role = "critic" if seat[0] == "judge" and self._config.cast.judge is None else seat[0]
        return f"cast.{seat_setting((role, seat[1]))}"
