"""The teacher's log-probabilities of a draft of the student's, token by token: what on-policy distillation learns from.

The draft goes to the teacher as the student sampled it, as token ids behind the student's own prompt, so that no text
is cut into tokens twice. That means something only where both have one tokenizer, which preflight finds out.
"""

from collections.abc import Sequence

from ..core.errors import ReplyError
from ..core.ids import derive_seed
from ..core.records import LLMRequest, Message, Sampling, TokenLogprob
from .llm import LLM, Exchange
from .tasks.task import PromptTemplate

SCORING = Sampling(temperature=0.0, max_tokens=1)


class DraftLogprobs:
    """Asks the teacher's endpoint what it thinks of drafts. Keeps no state and stores nothing."""

    def __init__(self, llm: LLM, model: str, seed: int) -> None:
        self._llm, self._model, self._seed = llm, model, seed

    async def of(
        self,
        messages: Sequence[Message],
        draft: str,
        prompt_ids: Sequence[int],
        token_ids: Sequence[int],
        template: PromptTemplate,
    ) -> tuple[Exchange, tuple[float, ...]]:
        """The teacher's natural log-probability of each of the draft's tokens, given the prompt and those before it.

        Args:
            messages: What the student was asked.
            draft: What it said, for people.
            prompt_ids: The same prompt as the student read it.
            token_ids: The draft as it was sampled.
            template: What the prompt was made from.

        Raises:
            EndpointError: there is no reply to be had.
            ReplyError: it does not have a log-probability for each token.
        """
        request = LLMRequest(
            role="teacher",
            model=self._model,
            messages=(*messages, Message(role="assistant", content=draft)),
            sampling=SCORING,
            seed=derive_seed(self._seed, "teacher", "logprobs"),
            score_prompt=True,
            prompt_ids=(*prompt_ids, *token_ids),
        )
        reply = await self._llm.complete(request)
        return Exchange(request, reply, template), _completion(reply.prompt_logprobs or (), len(prompt_ids), token_ids)


def _completion(tokens: Sequence[TokenLogprob], start: int, token_ids: Sequence[int]) -> tuple[float, ...]:
    whole = start + len(token_ids)
    # Where an endpoint does not count its tokens, the one that it had to write stands behind the prompt's.
    if len(tokens) not in {whole, whole + 1}:
        raise ReplyError(f"the teacher's endpoint scored {len(tokens)} tokens of a prompt of {whole}")
    found = tuple(token.logprob for token in tokens[start:whole])
    if None in found:
        raise ReplyError(f"the teacher's endpoint gave no log-probability of token {found.index(None)} of a draft")
    return tuple(number for number in found if number is not None)
