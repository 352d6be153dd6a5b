"""LangChain's chat model with a short way to the wire.

ChatOpenAI has the openai library check every part of a request against each kind of message there is, build typed
objects of the reply and turn those into dicts again, in another thread. With hundreds of calls in flight that is most
of what a call costs. Here the body is sent as it was made, and read as it was received; what LangChain and openai do
beside that (headers, errors; callbacks and tracing where there are any) is left to them. Not for streaming, nor for the
Responses API.
"""

from collections.abc import Mapping
from typing import Any

import httpx2
from langchain_core.callbacks import AsyncCallbackManager, AsyncCallbackManagerForLLMRun
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatResult
from langchain_core.runnables.config import var_child_runnable_config
from langchain_openai import ChatOpenAI
from pydantic import PrivateAttr

from .body import parse_body, read_body


class DirectChat(ChatOpenAI):
    """Asks for a chat completion; any option may be given to `ainvoke`, and is sent as it is."""

    _sent_always: dict[str, Any] = PrivateAttr(default_factory=dict)
    """Private to keep it out of traces: it may hold secrets."""

    def always_send(self, extra: Mapping[str, Any]) -> None:
        """From now on lay this over the body of every request."""
        self._sent_always = dict(extra)

    async def ask(self, messages: list[BaseMessage], **options: Any) -> BaseMessage:
        """Like `ainvoke`; where nobody listens to LangChain's callbacks, without all that is done for them."""
        within = (var_child_runnable_config.get() or {}).get("callbacks")
        if AsyncCallbackManager.configure(within, self.callbacks, verbose=self.verbose).handlers:
            return await self.ainvoke(messages, **options)
        result = await self._agenerate(messages, **options)
        [generation] = result.generations
        message = generation.message
        known = (result.llm_output or {}) | (generation.generation_info or {})
        message.response_metadata = known | message.response_metadata
        return message

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        """The message as it was sent is in `additional_kwargs["sent"]`: LangChain keeps no thoughts.

        Raises openai's errors for what an endpoint refuses, ValueError and the like for a body that is no reply.
        """
        body = self._get_request_payload(messages, stop=stop) | kwargs | self._sent_always
        del body["stream"]
        response = await self.root_async_client.post("/chat/completions", body=body, cast_to=httpx2.Response)
        answer, left_out = read_body(response.content)
        result = self._create_chat_result(answer)
        for generation, choice in zip(result.generations, answer["choices"], strict=True):
            generation.message.additional_kwargs["unreadable"] = dict(+left_out)
            generation.message.additional_kwargs["sent"] = choice["message"]
            if refusal := choice["message"].get("refusal"):
                generation.message.additional_kwargs["refusal"] = refusal
        return result

    async def score(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The answer of the older completions endpoint, as it came.

        Raises openai's errors, or ErrorInReplyError for a body that is none.
        """
        asked = {"model": self.model_name, **body}
        response = await self.root_async_client.post("/completions", body=asked, cast_to=httpx2.Response)
        return parse_body(response.content)
