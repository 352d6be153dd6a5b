"""How a dialogue ends: finished with a reason, or failed with an error that is kept as data."""

from ...store import Dialogue, Store
from ...store.schema import now


def finish_dialogue(
    store: Store,
    dialogue: Dialogue,
    *,
    stop_reason: str | None = None,
    final: str | None = None,
    error: Exception | None = None,
) -> None:
    """Record the end of a dialogue."""
    store.update(
        Dialogue,
        dialogue.id,
        status="failed" if error is not None else "finished",
        stop_reason=stop_reason,
        error=f"{type(error).__name__}: {error}" if error is not None else None,
        final_turn_id=final,
        finished_at=now(),
    )
