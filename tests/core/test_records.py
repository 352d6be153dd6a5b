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
        *((name, False, True) for name in ("eos", "eos_token", "end_turn", "stop_sequence", "STOP", "completed", "")),
        *((name, True, False) for name in ("model_context_window_exceeded", "context_length_exceeded", "token_limit")),
        *((name, True, False) for name in ("max_length", "max_new_tokens", "FINISH_REASON_MAX_TOKENS")),
        *((name, False, False) for name in ("SAFETY", "RECITATION", "sensitive", "guardrail_intervened", "refusal")),
        *((name, False, False) for name in ("insufficient_system_resource", "network_error", "abort", "cancelled")),
    ],
)
def test_how_a_reply_ended(reason: str | None, cut_off: bool, complete: bool) -> None:
    reply = LLMReply(text="a", model="m", finish_reason=reason)
    assert (reply.cut_off, reply.complete) == (cut_off, complete)
