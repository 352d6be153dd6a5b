"""What had been heard too often before a round began: settled then, so that whoever asks again asks the same."""

from ...agents.overused import overused_endings
from ...core.records import Split, Stage, TurnKind
from ...store import Dialogue, RunExample, Store, Turn


def overused_before(store: Store, run_id: str, round_number: int) -> list[str]:
    """Endings frequent in the texts of the step before a campaign's round, about training inputs."""
    if round_number == 1:
        stage, earlier, kind = Stage.DEMONSTRATE, 0, TurnKind.DEMONSTRATION
    else:
        stage, earlier, kind = Stage.COLLECT, round_number - 1, TurnKind.DRAFT
    dialogues = store.select(Dialogue, run_id=run_id, stage=stage, round=earlier)
    train = {row.example_id for row in store.select(RunExample, run_id=run_id, split=Split.TRAIN)}
    ids = [dialogue.id for dialogue in dialogues if dialogue.example_id in train]
    turned_away = {"note": None} if kind is TurnKind.DEMONSTRATION else {}
    return overused_endings(turn.content for turn in store.select(Turn, dialogue_id=ids, kind=kind, **turned_away))
