"""What had been heard too often before a round began: settled then, so that whoever asks again asks the same."""

from ...agents.overused import endings_heard_too_often
from ...core.records import Split, Stage, TurnKind
from ...store import Dialogue, RunExample, Store, Turn


def heard_before(store: Store, run_id: str, round_number: int) -> list[str]:
    """Endings frequent in the texts of the step before a campaign's round, about training inputs."""
    if round_number == 1:
        stage, earlier, kind = Stage.DEMONSTRATE, 0, TurnKind.DEMONSTRATION
    else:
        stage, earlier, kind = Stage.REHEARSE, round_number - 1, TurnKind.DRAFT
    dialogues = store.select(Dialogue, run_id=run_id, stage=stage, round=earlier)
    train = {row.example_id for row in store.select(RunExample, run_id=run_id, split=Split.TRAIN)}
    ids = [dialogue.id for dialogue in dialogues if dialogue.example_id in train]
    return endings_heard_too_often(turn.content for turn in store.select(Turn, dialogue_id=ids, kind=kind))
