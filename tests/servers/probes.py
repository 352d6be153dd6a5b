"""What a server gives of what openmic asks for, found out by asking it; in the words of `docs/how-to/endpoints.md`."""

import json
from itertools import takewhile
from pathlib import Path
from typing import Any

import httpx2

from .serving import RealServer

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "endpoints.md"
COLUMNS = ("log-probabilities of alternatives", "seed", "JSON schema", "n", "scores prompts (cloze)")
SCHEMA = {
    "type": "object",
    "properties": {"number": {"type": "integer"}},
    "required": ["number"],
    "additionalProperties": False,
}


def found(server: RealServer) -> dict[str, str]:
    """Column by column, what a server gives: `no`, `yes`, or how many alternatives."""
    probes = (_alternatives, _seed, _schema, _several, _scores_prompts)
    return {column: probe(server) for column, probe in zip(COLUMNS, probes, strict=True)}


def documented(name: str) -> dict[str, str]:
    """What the page says of a server, in the first word of each cell."""
    [row] = [cells for endpoint, cells in rows().items() if endpoint.lower().startswith(name)]
    return {column: row[column].split()[0].rstrip(",") for column in COLUMNS}


def rows() -> dict[str, dict[str, str]]:
    """The page's table of what endpoints give, by endpoint and column."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    [start] = [number for number, line in enumerate(lines) if line.startswith(f"| endpoint | {COLUMNS[0]}")]
    head, table = _cells(lines[start]), takewhile(lambda line: line.startswith("|"), lines[start + 2 :])
    return {cells[0]: dict(zip(head, cells, strict=True)) for cells in map(_cells, table)}


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def _chat(server: RealServer, text: str = "Say something about the rain.", **options: Any) -> Any:
    body = {"model": server.model, "messages": [{"role": "user", "content": text}], "max_tokens": 12, **options}
    return _ask(server, "chat/completions", body)


def _ask(server: RealServer, path: str, body: dict[str, Any]) -> Any:
    """The answer, or None where it was refused."""
    answer = httpx2.post(f"{server.base_url}/{path}", json=body, timeout=120)
    return answer.json() if answer.is_success else None


def _yes(value: object) -> str:
    return "yes" if value else "no"


def _alternatives(server: RealServer) -> str:
    answer = _chat(server, logprobs=True, top_logprobs=20, temperature=0)
    logprobs = answer and answer["choices"][0].get("logprobs")
    if not logprobs or not logprobs.get("content"):
        return "no"
    return str(len(logprobs["content"][0]["top_logprobs"]))


def _seed(server: RealServer) -> str:
    """Whether the same seed writes the same and another one something else."""
    options: dict[str, Any] = {"temperature": 1.5, "max_tokens": 24}
    one, same, other = (_chat(server, seed=seed, **options) for seed in (5, 5, 6))
    texts = [answer and answer["choices"][0]["message"]["content"] for answer in (one, same, other)]
    return _yes(texts[0] and texts[0] == texts[1] != texts[2])


def _schema(server: RealServer) -> str:
    form = {"type": "json_schema", "json_schema": {"name": "reply", "schema": SCHEMA, "strict": True}}
    answer = _chat(server, "What is the weather like?", response_format=form, temperature=0, max_tokens=60)
    try:
        return _yes(isinstance(json.loads(answer["choices"][0]["message"]["content"])["number"], int))
    except (TypeError, ValueError, KeyError):
        return "no"


def _several(server: RealServer) -> str:
    answer = _chat(server, n=2, temperature=1)
    return _yes(answer and len(answer["choices"]) == 2)


def _scores_prompts(server: RealServer) -> str:
    body = {"model": server.model, "prompt": "The rain fell.", "echo": True, "logprobs": 1, "max_tokens": 1}
    answer = _ask(server, "completions", body)
    logprobs = answer and answer["choices"][0].get("logprobs")
    return _yes(logprobs and len(logprobs.get("token_logprobs") or ()) > 2)
