"""What a run takes over from an earlier one: replies, and texts of the student.

A reply is the same where the request is, to the same model asked in the same way; a text where student, adapter,
prompt, sampling and seed are. The store keeps both as the new run's own, marked with where they come from.
"""

from functools import cached_property

from ...core.config import RunConfig
from ...core.ids import derive_id
from ...core.records import Agent, Generation, GenerationRequest, LLMReply, LLMRequest
from ...store import Adapter, Run, Store, Turn
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
OF_THE_CAST = {"latency_s", "rate_limit_rate"}
"""What of the simulated cast's settings changes no reply."""
TAKEN_FROM = "run "
"""What stands before the run's id, in place of the worker, in a turn of the student's that was taken over."""


class Reuse:
    """The earlier run, as far as it is like the new one."""

    def __init__(self, store: Store, source: Run, run_id: str, config: RunConfig) -> None:
        self._store, self._source, self._run_id, self._config = store, source, run_id, config
        self._before = RunConfig.model_validate(source.config)

    @classmethod
    def of(cls, store: Store, run: Run, config: RunConfig) -> "Reuse | None":
        """What a run may take over; None where it takes over nothing, or what it took from is gone."""
        source = None if run.reuses is None else store.get(Run, run.reuses)
        return None if source is None else cls(store, source, run.id, config)

    @property
    def run_id(self) -> str:
        """The earlier run's id."""
        return self._source.id

    def reply(self, request: LLMRequest) -> LLMReply | None:
        """What the same model answered in the earlier run; None where it was not asked, or another is meant."""
        if (request.role, request.member) not in self._seats:
            return None
        return self._store.saved_reply(self.run_id, request.key)

    def generation(self, request: GenerationRequest, place: tuple[str, int, str, int]) -> Generation | None:
        """What the same student said in the earlier run.

        Args:
            request: What it is asked.
            place: Where: the dialogue's stage, round and input, and the turn's place in it.
        """
        if not self._same_student:
            return None
        stage, round_number, example, seq = place
        turn = self._store.get(Turn, derive_id(derive_id(self.run_id, stage, round_number, example), seq))
        asked = request.prompt_hash, request.sampling.model_dump(), request.seed, request.id
        if (
            turn is None
            or turn.agent is not Agent.STUDENT
            or (turn.prompt_hash, turn.sampling, turn.seed, turn.request_key) != asked
            or not self._same_adapter(turn.adapter_version, request.adapter)
        ):
            return None
        return Generation(
            request_id=request.id,
            text=turn.raw["text"],
            token_ids=tuple(turn.raw["token_ids"]),
            prompt_tokens=turn.input_tokens,
            adapter_version=request.adapter,
            finish_reason="length" if turn.finish_reason == "length" else "stop",
            queue_ms=0.0,
            latency_ms=0.0,
            worker=f"{TAKEN_FROM}{self.run_id}",
        )

    @cached_property
    def _seats(self) -> frozenset[Seat]:
        """Whose replies are what they would be today."""
        before, now = seats(self._before.cast), seats(self._config.cast)
        cast = [one.cast.simulated.model_dump(exclude=OF_THE_CAST) for one in (self._before, self._config)]
        same_cast = cast[0] == cast[1] and self._before.seed == self._config.seed
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
    def _same_student(self) -> bool:
        before, now = self._before.student, self._config.student
        return before.model_dump(include=_MADE_ALIKE) == now.model_dump(include=_MADE_ALIKE)

    def _same_adapter(self, earlier: int | None, now: int) -> bool:
        """Whether a version of the earlier run and one of this are the same files."""
        if not now:
            return earlier == 0
        rows = [
            self._store.select(Adapter, run_id=run, version=version)
            for run, version in ((self.run_id, earlier), (self._run_id, now))
        ]
        found = {row.sha256 for [row] in rows if row.sha256 is not None} if all(rows) else set()
        return len(found) == 1
