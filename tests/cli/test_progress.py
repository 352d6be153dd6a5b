import io
import re
import threading
import time
from collections.abc import Callable

import pytest

from openmic.cli import progress
from openmic.cli.progress import PlainProgress


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def lines_of(stream: io.StringIO) -> list[str]:
    return stream.getvalue().splitlines()


def test_a_bar_that_stands_still_goes_on_saying_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PLAIN_SECONDS", 0.02)
    stream = io.StringIO()
    with PlainProgress(stream).bar("round 1", 30, "dialogues") as bar:
        wait_for(lambda: len(lines_of(stream)) >= 2)
        bar.note("512 tokens/s")
        seen = len(lines_of(stream))
        wait_for(lambda: len(lines_of(stream)) >= seen + 2)
    assert re.fullmatch(r"round 1: 0/30, waiting for the first, 0 s", lines_of(stream)[0])
    assert re.fullmatch(r"round 1: 0/30, waiting for the first, 512 tokens/s, \d s", lines_of(stream)[-1])


def test_lines_come_at_the_interval_and_at_the_end_however_often_the_bar_moves() -> None:
    stream = io.StringIO()
    with PlainProgress(stream).bar("work", 500, "things") as bar:
        for number in range(500):
            bar.advance()
            bar.note(f"note {number}")
            bar.reach(number + 1, 500)
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
