"""The body of a request to OpenAI's chat completions, as far as every server of ours reads it.

Unknown fields are ignored, as real servers do. What one server reads besides is in its own room.
"""

from pydantic import BaseModel, ConfigDict, Field


class ContentPart(BaseModel):
    """A piece of a message; only text is read."""

    type: str
    text: str = ""


class ChatMessage(BaseModel):
    """A message as a client sends it."""

    role: str
    content: str | list[ContentPart] | None = None

    @property
    def text(self) -> str:
        """The text of the message, its parts joined."""
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content if part.type == "text")
        return self.content or ""


class ChatBody(BaseModel):
    """What a request asks for."""

    model_config = ConfigDict(extra="ignore")

    model: str
    messages: list[ChatMessage] = Field(min_length=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    n: int | None = Field(default=None, ge=1, le=128)
    seed: int | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    logprobs: bool | None = None
    stream: bool | None = None

    @property
    def most_tokens(self) -> int | None:
        """The most tokens a choice may have; None sets no limit."""
        return self.max_completion_tokens or self.max_tokens
