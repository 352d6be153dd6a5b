"""What a run takes over from earlier ones: replies, and texts of the student.

A reply is the same where the request is, to the same model asked in the same way; a text where student, adapter,
prompt, sampling and seed are. The store keeps both as the new run's own, marked with where they come from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from ...core.config import RunConfig, saved_config
from ...core.ids import derive_id
from ...core.records import Agent, Generation, GenerationRequest, LLMReply, LLMRequest
from ...store import Adapter, Run, Store, Turn
from ...store.spending import TAKEN_FROM
from .models import simulated_seed
from .seats import Seat, seat_model, seats

ASKED_ALIKE = {"base_url", "query", "extra_body", "reasoning_effort"}
"""What of an endpoint's settings a reply depends on, and its request does not say."""
_MADE_ALIKE = {
    "model",
    "revision",
    "dtype",
    "quantization",
    "trust_remote_code",
    "engine",
    "engine_kwargs",
    "endpoint",
    "chat_template_kwargs",
}
"""What of the student's settings its texts depend on, and its requests do not say."""
OF_THE_CAST = {"latency_s", "rate_limit_rate", "seed"}
"""What of the simulated cast's settings changes no reply; its seed is looked at by itself."""


class TakenReply(NamedTuple):
    """A reply, and the run that paid for it."""

    reply: LLMReply
    run_id: str


class Reuse:
    """Earlier runs, as far as they are like the new one: the one it names, and those of its experiment."""

    def __init__(self, store: Store, sources: Sequence[Run], run: Run, config: RunConfig) -> None:
        self._store, self._run_id = store, run.id
        self._sources = {
            source.id: _Source(saved_config(source), config, source.student_files == run.student_files)
            for source in sources
        }

    @classmethod
    def of(cls, store: Store, run: Run, config: RunConfig) -> "Reuse | None":
        """What a run may take over; None where it takes over nothing, or what it took from is gone."""
        sources = [] if run.reuses is None else store.select(Run, id=run.reuses)
        if run.experiment is not None:
            alike = store.select(Run, experiment=run.experiment, order_by="created_at")
            sources += [other for other in alike if other.id not in {run.id, run.reuses}]
        return cls(store, sources, run, config) if sources else None

    @property
    def of_same_files(self) -> list[str]:
        """The ids of those earlier runs whose student's files are this one's, in the order they are looked at."""
        return [run_id for run_id, source in self._sources.items() if source.same_files]

    def reply(self, request: LLMRequest) -> TakenReply | None:
        """What the same model answered in an earlier run; None where it was not asked, or another is meant."""
        seat = request.role, request.member
        alike = [run_id for run_id, source in self._sources.items() if seat in source.seats]
        found = self._store.saved_replies(alike, request.key)
        return next((TakenReply(found[run_id], run_id) for run_id in alike if run_id in found), None)

    def generation(self, request: GenerationRequest, place: tuple[str, int, str, int]) -> Generation | None:
        """What the same student said in an earlier run.

        Args:
            request: What it is asked.
            place: Where: the dialogue's stage, round and input, and the turn's place in it.
        """
        stage, round_number, example, seq = place
        places = {
            derive_id(derive_id(run_id, stage, round_number, example), seq): run_id
            for run_id, source in self._sources.items()
            if source.same_student
        }
        asked = request.prompt_hash, request.sampling.model_dump(), request.seed, request.id
        turns = {turn.id: turn for turn in self._store.select(Turn, id=list(places))} if places else {}
        for identity, run_id in places.items():
            turn = turns.get(identity)
            if (
                turn is None
                or turn.agent is not Agent.STUDENT
                or (turn.prompt_hash, turn.sampling, turn.seed, turn.request_key) != asked
                or not self._same_adapter(run_id, turn.adapter_version, request.adapter)
            ):
                continue
            return Generation(
                request_id=request.id,
                text=turn.raw["text"],
                token_ids=tuple(turn.raw["token_ids"]),
                prompt_tokens=turn.input_tokens,
                adapter_version=request.adapter,
                finish_reason="length" if turn.finish_reason == "length" else "stop",
                queue_ms=0.0,
                latency_ms=0.0,
                worker=f"{TAKEN_FROM}{run_id}",
            )
        return None

    def _same_adapter(self, earlier_run: str, earlier: int | None, now: int) -> bool:
        """Whether a version of an earlier run and one of this are the same files."""
        if not now or earlier is None:
            return not now and earlier == 0
        known = self._hash(earlier_run, earlier)
        return known is not None and known == self._hash(self._run_id, now)

    def _hash(self, run_id: str, version: int) -> str | None:
        """The hash of an adapter, which never changes once it is there."""
        key = run_id, version
        if key not in self._hashes:
            rows = self._store.select(Adapter, run_id=run_id, version=version)
            if not rows or rows[0].sha256 is None:
                return None
            self._hashes[key] = rows[0].sha256
        return self._hashes[key]

    @cached_property
    def _hashes(self) -> dict[tuple[str, int], str]:
        return {}


@dataclass(frozen=True)
class _Source:
    """What an earlier run and the new one have in common."""

    before: RunConfig
    config: RunConfig
    same_files: bool
    """Whether the files that the student is made of are the same."""

    @cached_property
    def seats(self) -> frozenset[Seat]:
        """Whose replies are what they would be today."""
        before, now = seats(self.before.cast), seats(self.config.cast)
        cast = [one.cast.simulated.model_dump(exclude=OF_THE_CAST) for one in (self.before, self.config)]
        seeds = {simulated_seed(one.cast, one.seed) for one in (self.before, self.config)}
        same_cast = cast[0] == cast[1] and len(seeds) == 1
        return frozenset(
            seat
            for seat, settings in now.items()
            if settings.asked
            and (earlier := before.get(seat)) is not None
            and earlier.asked
            and seat_model(seat, earlier) == seat_model(seat, settings)
            and earlier.model_dump(include=ASKED_ALIKE) == settings.model_dump(include=ASKED_ALIKE)
            and (same_cast or not settings.simulated)
        )

    @cached_property
    def same_student(self) -> bool:
        """Whether its student is this one."""
        before, now = self.before.student, self.config.student
        return self.same_files and before.model_dump(include=_MADE_ALIKE) == now.model_dump(include=_MADE_ALIKE)
