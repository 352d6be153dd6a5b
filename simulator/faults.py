"""What goes wrong on purpose: requests that are turned away, refusals, and JSON that is not quite JSON."""

import json
from typing import Literal

from .chance import choose, happens, uniform
from .settings import SimulatorSettings

REFUSAL = "I'm sorry, but I can't help with that."
_MOST_IN_A_ROW = 2

Mishap = Literal["rate_limit", "error"]


class Turnstile:
    """Decides which attempts at a request are turned away.

    An attempt's fate depends on the request and on how often that request was turned away just before, so that a
    retry gets through in the end: never more than two attempts are turned away in a row.
    """

    def __init__(self, settings: SimulatorSettings) -> None:
        self._settings = settings
        self._turned_away: dict[str, int] = {}

    def admit(self, key: str) -> Mishap | None:
        """None lets this attempt at the request pass; anything else is why it does not."""
        attempt = self._turned_away.get(key, 0)
        mishap = self._mishap(key, attempt) if attempt < _MOST_IN_A_ROW else None
        if mishap is None:
            self._turned_away.pop(key, None)
        else:
            self._turned_away[key] = attempt + 1
        return mishap

    def _mishap(self, key: str, attempt: int) -> Mishap | None:
        if happens(self._settings.rate_limit_rate, key, "rate_limit", attempt):
            return "rate_limit"
        if happens(self._settings.error_rate, key, "error", attempt):
            return "error"
        return None


def delay_s(settings: SimulatorSettings, key: str) -> float:
    """How long the answer to this request takes, in seconds."""
    return settings.latency_s + settings.latency_jitter_s * uniform(key, "latency")


def break_json(value: dict[str, str], *parts: str | int) -> str:
    """The value as a careless model writes it: cut off, in prose, in a code fence or in single quotes."""
    text = json.dumps(value, ensure_ascii=False)
    manner = choose(("cut", "prose", "fence", "quotes"), "manner", *parts)
    if manner == "cut":
        return text[: len(text) * 2 // 3]
    if manner == "prose":
        return f"Sure! Here is my critique:\n\n{text}\n\nI hope this helps."
    if manner == "fence":
        return f"```json\n{text}\n```"
    return repr(value)
