import io
import re
import threading
import time
from types import SimpleNamespace

import pytest
from rich.console import Console

from openmic.cli import progress
from openmic.cli.progress import PlainProgress, TerminalProgress, _PlainBar

from ..waiting import wait_until


def lines_of(stream: io.StringIO) -> list[str]:
    return stream.getvalue().splitlines()


def test_a_bar_that_stands_still_goes_on_saying_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PLAIN_SECONDS", 0.02)
    stream = io.StringIO()
    with PlainProgress(stream).bar("round 1", 30, "dialogues") as bar:
        wait_until(lambda: len(lines_of(stream)) >= 2)
        bar.note("512 tokens/s")
        seen = len(lines_of(stream))
        wait_until(lambda: len(lines_of(stream)) >= seen + 2)
    assert re.fullmatch(r"round 1: 0/30, waiting for the first, 0 s", lines_of(stream)[0])
    assert re.fullmatch(r"round 1: 0/30, waiting for the first, 512 tokens/s, \d s", lines_of(stream)[-1])


def test_lines_come_at_the_interval_and_at_the_end_however_often_the_bar_moves() -> None:
    stream = io.StringIO()
    with PlainProgress(stream).bar("work", 500, "things") as bar:
        for number in range(500):
            bar.advance()
            bar.note(f"note {number}")
            bar.set(number + 1, 500)
    [line] = lines_of(stream)
    assert re.fullmatch(r"work: 500/500, [\d.]+ things/s, note 499, \d s", line)


def test_the_heart_stops_with_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PLAIN_SECONDS", 0.01)
    before, stream = threading.active_count(), io.StringIO()
    with pytest.raises(ZeroDivisionError), PlainProgress(stream).bar("work", 2, "things"):
        raise ZeroDivisionError
    assert threading.active_count() == before
    with PlainProgress(stream).bar("work", 2, "things"):
        pass
    said = stream.getvalue()
    time.sleep(0.05)
    assert stream.getvalue() == said


def test_bars_that_overlap_share_one_display_whichever_ends_first() -> None:
    stream = io.StringIO()
    display = TerminalProgress(Console(file=stream, force_terminal=True, width=120))
    dialogues, training = display.bar("dialogues", 2, "dialogues"), display.bar("training", 4, "steps")
    outer = dialogues.__enter__()
    inner = training.__enter__()
    outer.advance(2)
    dialogues.__exit__(None, None, None)
    inner.set(4, 4)
    inner.note("loss 0.5")
    display.print("adapter v2 rolled back")
    training.__exit__(None, None, None)
    with display.bar("evaluate", 1, "inputs") as bar:
        bar.advance()
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue())
    for words in ("dialogues", "2/2", "training", "4/4", "loss 0.5", "adapter v2 rolled back", "evaluate", "1/1"):
        assert words in shown


@pytest.mark.parametrize("width", [100, 140])
def test_a_note_leaves_the_bar_its_room_on_any_terminal(width: int) -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=width, color_system=None)
    note = "2 of 2 students, 14 in flight + 3 waiting, 213 tokens/s, 93% busy, adapter v3"
    with TerminalProgress(console).bar("round 1: dialogues", 120, "dialogues") as bar:
        bar.advance(37)
        bar.note(note)
    last = lines_of(stream)
    assert any("round 1: dialogues" in line and "37/120" in line for line in last)
    assert any(note[:70] in line for line in last)


def test_the_first_steps_say_nothing_about_those_to_come(monkeypatch: pytest.MonkeyPatch) -> None:
    stream, clock = io.StringIO(), [100.0]
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    bar = _PlainBar(stream, "evaluate", 100, "inputs")
    for done in range(1, 5):
        bar.advance()
        clock[0] += 5.0
        bar.line()
        assert ("left" in stream.getvalue()) is (done >= 3)
    assert stream.getvalue().splitlines()[-1].endswith("about 480 s left")


def test_a_terminal_gets_lines_where_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert isinstance(progress.progress_display(io.StringIO()), TerminalProgress)
    assert isinstance(progress.progress_display(io.StringIO(), plain=True), PlainProgress)


@pytest.mark.parametrize(
    ("per_second", "said"),
    [(31.84, "31.8 inputs/s"), (0.1, "0.1 inputs/s"), (0.02, "1.2 inputs/min"), (0.0011, "4.0 inputs/h")],
)
def test_slow_work_is_told_by_the_minute_or_the_hour(per_second: float, said: str) -> None:
    assert progress._rate(per_second, "inputs") == said
