"""The words on the whole of a run: at which of its stages it is, and what is left of it."""

import io

from rich.console import Console

from openmic.cli.progress import PlainProgress, TerminalProgress
from openmic.graph.context.progress import Progress, Silent
from openmic.graph.stages.course import Course, steps_of

FORESEEN = {
    "demonstrate": 60.0,
    "imitate": 60.0,
    "collect": 600.0,
    "fine-tune": 120.0,
    "evaluate (dev)": 60.0,
    "evaluate (test)": 60.0,
}


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def course(clock: Clock, progress: Progress | None = None, *, rounds: int = 1, **foreseen: float) -> Course:
    return Course(progress or Silent(), steps_of({**FORESEEN, **foreseen}, rounds), clock)


def work(found: Course, clock: Clock, stage: str, seconds: float, *, done: int = 10, of: int = 10) -> None:
    """Go through a stage, or through a part of it, evenly."""
    found.begin(stage)
    with found.bar(stage, of, "things") as bar:
        for _ in range(done):
            clock.now += seconds / done
            bar.advance()


def test_before_anything_is_measured_it_is_what_was_foreseen_at_least() -> None:
    found = course(Clock())
    assert found.words() == ""
    found.begin("demonstrate")
    assert found.words() == "stage 1 of 6, at least 16 min left"


def test_each_round_has_its_stages_and_those_that_are_not_foreseen_are_none() -> None:
    foreseen = {name: seconds for name, seconds in FORESEEN.items() if name != "evaluate (test)"}
    assert [step.name for step in steps_of(foreseen, 2)] == [
        *("demonstrate", "imitate"),
        *("collect", "fine-tune", "evaluate (dev)"),
        *("collect", "fine-tune", "evaluate (dev)"),
    ]
    assert sum(step.foreseen_s for step in steps_of(foreseen, 2)) == sum(foreseen.values())


def test_what_took_longer_than_foreseen_makes_the_rest_longer() -> None:
    clock = Clock()
    found = course(clock)
    work(found, clock, "demonstrate", 120)
    found.begin("imitate")
    assert found.words() == "stage 2 of 6, about 25 min left", "15 min, times 150 s by 90 s: the half minute is in both"


def test_what_a_stage_of_a_moment_took_to_start_makes_nothing_else_longer() -> None:
    clock = Clock()
    found = course(clock, demonstrate=0.05)
    work(found, clock, "demonstrate", 6)
    found.begin("imitate")
    assert found.words() == "stage 2 of 6, about 18 min left", "15 min, and a fifth"


def test_a_stage_that_was_gone_through_before_takes_as_long_again() -> None:
    clock = Clock()
    found = course(clock, rounds=2)
    for stage, seconds in (("demonstrate", 60), ("imitate", 60), ("collect", 3000), ("fine-tune", 60)):
        work(found, clock, stage, seconds)
    work(found, clock, "evaluate (dev)", 60)
    found.begin("collect")
    # Dialogues, training and evaluation once more (52 min), and the last stage's minute as much longer as all were.
    assert found.words() == "stage 6 of 9, about 58 min left"


def test_the_stage_that_is_under_way_takes_as_long_as_it_is_going() -> None:
    clock, stream = Clock(), io.StringIO()
    found = course(clock, PlainProgress(stream), rounds=1)
    work(found, clock, "demonstrate", 60)
    work(found, clock, "imitate", 60)
    found.begin("collect")
    with found.bar("round 1: dialogues", 100, "dialogues") as bar:
        for _ in range(25):
            clock.now += 2
            bar.advance()
        assert found.words() == "stage 3 of 6, about 6 min left", "150 s of dialogues, and 240 s of what follows"
        bar.note("512 tokens/s")
    assert "round 1: dialogues: 25/100" in stream.getvalue()
    assert "stage 3 of 6, about 6 min left; 512 tokens/s" in stream.getvalue()


def test_what_was_done_before_an_interruption_says_nothing_of_how_fast_it_goes() -> None:
    clock = Clock()
    found = course(clock)
    work(found, clock, "demonstrate", 0.1)  # found in the store
    found.begin("collect")
    with found.bar("round 1: dialogues", 100, "dialogues") as bar:
        bar.advance(80)
        clock.now += 2
        bar.advance()
        assert found.words() == "stage 3 of 6, at least 14 min left"
        for _ in range(9):
            clock.now += 10
            bar.advance()
        assert found.words() == "stage 3 of 6, about 6 min left", "100 s for ten dialogues, and 240 s foreseen"


def test_a_training_that_goes_on_from_a_checkpoint_is_measured_from_there() -> None:
    clock = Clock()
    found = course(clock)
    found.begin("fine-tune")
    with found.bar("round 1: dpo", 1, "steps") as bar:
        clock.now += 5
        bar.set(900, 1000)
        for step in range(910, 951, 10):
            clock.now += 10
            bar.set(step, 1000)
        assert found.words() == "stage 4 of 6, about 3 min left", "50 s of 50 steps, and two evaluations"


def test_a_stage_that_is_passed_over_is_over_and_one_that_is_not_foreseen_changes_nothing() -> None:
    found = course(Clock())
    found.begin("evaluate (test)")
    assert found.words() == "stage 6 of 6, at least 60 s left"
    for name in ("collect", "", "nothing"):
        found.begin(name)
        assert found.words() == "stage 6 of 6, at least 60 s left"


def test_a_run_of_which_nothing_takes_time_has_stages_alone() -> None:
    found = Course(Silent(), steps_of(dict.fromkeys(FORESEEN, 0.0), 1), Clock())
    found.begin("imitate")
    assert found.words() == "stage 2 of 6"


def test_a_terminal_shows_it_under_the_bar() -> None:
    stream, clock = io.StringIO(), Clock()
    console = Console(file=stream, force_terminal=True, width=80, color_system=None)
    work(course(clock, TerminalProgress(console)), clock, "demonstrate", 30)
    assert "stage 1 of 6, about 15 min left" in stream.getvalue()
