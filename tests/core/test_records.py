import pytest

from openmic.core.records import LLMReply


@pytest.mark.parametrize(
    ("reason", "cut_off", "complete"),
    [
        (None, False, True),
        ("stop", False, True),
        ("length", True, False),
        ("MAX_TOKENS", True, False),
        ("content_filter", False, False),
        ("CONTENT_FILTER", False, False),
    ],
)
def test_how_a_reply_ended(reason: str | None, cut_off: bool, complete: bool) -> None:
    reply = LLMReply(text="a", model="m", finish_reason=reason)
    assert (reply.cut_off, reply.complete) == (cut_off, complete)
