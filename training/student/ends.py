"""The tokens that end a student's text: any of them does, and it learns to end with one."""

from collections.abc import Mapping
from typing import Any

from ...core.errors import StudentError
from .template import end_in_template


def end_tokens(
    tokenizer: Any, generation_config: Any = None, template_kwargs: Mapping[str, Any] | None = None
) -> tuple[int, ...]:
    """Every token that ends a text, the one that training texts end with first.

    That is the one which the chat template writes behind an assistant's words, else the tokenizer's own: the two differ
    in models that were trained to converse after their tokenizer was made, such as Gemma, Llama 3 and Phi.

    Args:
        tokenizer: Its `eos_token_id`, if it has one.
        generation_config: The model's, whose `eos_token_id` is a token, a list of them, or None.
        template_kwargs: What the chat template is given.

    Returns:
        Their ids, each once; empty where the model has no end of sequence at all.

    Raises:
        StudentError: what it says is no id.
    """
    listed = getattr(generation_config, "eos_token_id", None)
    ids = [tokenizer.eos_token_id, *(listed if isinstance(listed, (list, tuple)) else [listed])]
    if odd := [token for token in ids if token is not None and not isinstance(token, int)]:
        raise StudentError(
            f"eos_token_id of the student's generation_config.json is {odd[0]!r}, which is no token's id"
        )
    found = list(dict.fromkeys(token for token in ids if token is not None))
    if tokenizer.chat_template and len(found) > 1:
        behind = end_in_template(tokenizer, template_kwargs)
        named = {token: str(tokenizer.convert_ids_to_tokens(token)) for token in found}
        first = [token for token in found if named[token] and behind.startswith(named[token])]
        found = list(dict.fromkeys([*first, *found]))
    return tuple(found)
