"""How much room a model needs to think in before it answers: found out from its replies, and remembered.

What openmic allows a reply is meant for its answer. A model that thinks first needs more than that, and of a reply
that ends within the thought nothing can be read.
"""

import re
from typing import Any

from ...core.records import LLMReply
from .options import CAPS

FIRST_ROOM = 1024
"""Tokens for a thought beside those for the answer, once a model is seen to think."""
MOST_ROOM = 16_384
_GROWTH = 4
_LEAST = 128
_TOO_MUCH = re.compile(r"max_(?:completion_)?tokens|context|too (?:large|long|many)|at most", re.IGNORECASE)


class Room:
    """The room for thoughts of one endpoint's model."""

    def __init__(self) -> None:
        self.tokens = 0
        """What is allowed beside the answer, now."""
        self._fits, self._refused = 0, MOST_ROOM + 1

    def widen(self, options: dict[str, Any]) -> dict[str, Any]:
        """The options of a request with the room added to the most tokens of the reply."""
        return options | {name: options[name] + self.tokens for name in CAPS if name in options}

    def wants_more(self, reply: LLMReply, had: int) -> bool:
        """Learn from a reply; True where it is to be asked for again, now that there is more room.

        Args:
            reply: What came.
            had: The room it had. Calls beside it may have found out by now that it takes more.
        """
        self._fits = max(self._fits, had)
        nothing_said = not reply.text.strip() and bool(reply.thought or reply.cut_off)
        if not nothing_said:
            if reply.thought and self.tokens < FIRST_ROOM < self._refused:
                self.tokens = FIRST_ROOM
            return False
        if had and not reply.cut_off:  # it had room, and ended by itself all the same
            return False
        if had == self.tokens:
            wider = _wider(had)
            if wider >= self._refused:
                wider = (had + self._refused) // 2
            if wider - had >= _LEAST:
                self.tokens = wider
        return self.tokens > had

    def remember(self, had: int) -> None:
        """Learn what another process found out: that with so much room a reply was thought alone."""
        self.tokens = max(self.tokens, _wider(had))

    def had_elsewhere(self, had: int) -> None:
        """Learn that another process sent requests with so much room."""
        if had < self._refused:
            self.tokens = max(self.tokens, had)

    def give_back(self, error: Exception, had: int) -> bool:
        """Learn from the refusal of a request that had this much room; True where it can be asked with less."""
        if not had or not _TOO_MUCH.search(str(error)):
            return False
        self._refused = min(self._refused, had)
        if self._fits >= self._refused:  # prompts differ in length
            self._fits = self._refused // 2 if self._refused > _LEAST else 0
        if self.tokens >= self._refused:
            far = self._refused - self._fits > _LEAST
            self.tokens = (self._fits + self._refused) // 2 if far else self._fits
        return True


def _wider(had: int) -> int:
    """The room after one that was too small."""
    return min(MOST_ROOM, max(FIRST_ROOM, _GROWTH * had))
