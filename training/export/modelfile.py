"""An Ollama Modelfile: the file of weights, the student's prompts, its template and its sampling."""

import re
from collections.abc import Mapping
from typing import Any

from ...core.records import Message
from ..adapters.card import GGUF_FILE
from ..student.student import LoadedStudent
from ..student.template import end_in_template, render_conversation

_SYSTEM, _USER = "SPHINX OF BLACK QUARTZ", "JUDGE MY VOW"
_QUOTES = '"""'


def write_modelfile(student: LoadedStudent, prompts: Mapping[str, Any]) -> str:
    """The Modelfile beside a GGUF file.

    Its template is the student's own for one system prompt and one turn, as the student was trained. What a Modelfile
    cannot hold is left out, with a comment in its place that says so.

    Args:
        student: Its tokenizer, whatever its weights are in.
        prompts: As `prompts.json` holds them.
    """
    lines = [f"FROM ./{GGUF_FILE}"]
    template = template_of(student)
    if template is None:
        lines.append("# The chat template has no form that Ollama's own can take; Ollama reads it from the file.")
    else:
        lines.append(f"TEMPLATE {_QUOTES}{template}{_QUOTES}")
    system = prompts.get("system")
    if system and _QUOTES in system:
        lines.append(
            "# The system prompt holds three double quotes, which would end it here: send it with each request."
        )
    elif system:
        lines.append(f"SYSTEM {_QUOTES}{system}{_QUOTES}")
    if (draft := prompts.get("draft", "{{ input }}").strip()) != "{{ input }}":
        lines.append(f"# What is asked: {' '.join(draft.split())}")
    ends = [text for end in student.ends if (text := student.tokenizer.decode([end]).strip())]
    lines += [f'PARAMETER stop "{_escaped(text)}"' for text in ends]
    sampling = prompts.get("sampling") or {}
    names = {"temperature": "temperature", "top_p": "top_p", "max_tokens": "num_predict"}
    lines += [f"PARAMETER {theirs} {sampling[ours]}" for ours, theirs in names.items() if ours in sampling]
    return "\n".join(lines) + "\n"


def template_of(student: LoadedStudent) -> str | None:
    """The student's chat template as Ollama writes one, for a system prompt and a turn; None where it has none."""
    tokenizer, kwargs = student.tokenizer, student.template_kwargs
    if student.kind != "causal" or not tokenizer.chat_template:
        return None
    user = Message(role="user", content=_USER)
    told = render_conversation(tokenizer, [Message(role="system", content=_SYSTEM), user], kwargs, name=student.name)
    bare = render_conversation(tokenizer, [user], kwargs, name=student.name)
    found = re.fullmatch(f"(?s)(.*?){_SYSTEM}(.*?){_USER}(.*)", told)
    alone = re.fullmatch(f"(?s)(.*?){_USER}(.*)", bare)
    if found is None or alone is None or "{{" in told or "}}" in told or _QUOTES in told:
        return None
    before, between, after = found.groups()
    begins = _without_beginning(tokenizer, before), _without_beginning(tokenizer, alone[1])
    return (
        f"{{{{ if .System }}}}{begins[0]}{{{{ .System }}}}{between}{{{{ else }}}}{begins[1]}{{{{ end }}}}"
        f"{{{{ .Prompt }}}}{after}{{{{ .Response }}}}{end_in_template(tokenizer, kwargs)}"
    )


def _without_beginning(tokenizer: Any, text: str) -> str:
    """The text without the token that begins every one, where the runtime puts it there itself."""
    begin = tokenizer.bos_token
    adds = begin is not None and list(tokenizer("x")["input_ids"])[:1] == [tokenizer.bos_token_id]
    return text.removeprefix(begin) if adds else text


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
