"""What is found out about one endpoint's model, and shared by all clients that ask it."""

from dataclasses import dataclass, field

from ...core.records import LLMReply, LLMRequest
from .cap import cut_to, overruns
from .gate import Gate, Tell
from .options import RequestOptions
from .room import Room


@dataclass(slots=True)
class Known:
    """What it takes, how much room it needs, and when it may be asked."""

    options: RequestOptions
    room: Room = field(default_factory=Room)
    gate: Gate = field(default_factory=Gate)
    told: set[str] = field(default_factory=set)
    """What whoever watches has been told."""

    def tell_once(self, line: str, tell: Tell) -> None:
        """Tell a line that was not told yet."""
        if line not in self.told:
            self.told.add(line)
            tell(line)

    def seen(self, request: LLMRequest, reply: LLMReply, cap: int, samples: int, tell: Tell) -> LLMReply:
        """A reply within its cap; what the endpoint turned out to lack is told.

        Args:
            request: What was asked.
            reply: What came.
            cap: The most tokens it was allowed.
            samples: Labels that are sampled in each order of a comparison where there are no log-probabilities.
            tell: Where a line about the endpoint goes, without its name.
        """
        if overruns(reply, cap):
            reply = cut_to(reply, cap)
            self.options.overrun()
            tell("ignores the limit on tokens: its replies are cut to it here")
        for name in self.options.left_out:
            tell(f"refuses {name}: openmic does without from now on")
        for name in reply.raw.get("unreadable", ()):
            tell(f"sends {name} in a form that cannot be read, and that is left out of its replies")
        if request.top_logprobs is not None and reply.token_logprobs is None and not reply.thought:
            more = f"{2 * (samples - 1)} more calls a comparison (verdict.samples)"
            tell(f"gives no log-probabilities: labels are sampled instead, {more}")
        return reply
