"""Rows with everything filled in that a test does not care about."""

from typing import Any

from openmic.core.ids import content_hash
from openmic.core.records import Agent, Stage, TurnKind
from openmic.store import Ballot, Dialogue, Example, Preference, Run, Training, Turn, Verdict


def run(**values: Any) -> Run:
    defaults: dict[str, Any] = {
        "id": "RUN1",
        "name": "first",
        "task": "humor",
        "task_hash": "t",
        "config": {"student": {"lr": 0.1}},
        "config_hash": "c",
        "arguments": ["run", "--set", "a=b"],
        "seed": 7,
        "home": "somewhere",
    }
    return Run(**defaults | values)


def example(**values: Any) -> Example:
    return Example(**{"id": "e1", "text": "I am late"} | values)


def dialogue(**values: Any) -> Dialogue:
    defaults: dict[str, Any] = {
        "id": "d1",
        "run_id": "RUN1",
        "stage": Stage.REHEARSE,
        "round": 1,
        "example_id": "e1",
    }
    return Dialogue(**defaults | values)


def turn(seq: int, **values: Any) -> Turn:
    content = values.get("content", f"text {seq}")
    defaults: dict[str, Any] = {
        "id": f"t{seq}",
        "run_id": "RUN1",
        "dialogue_id": "d1",
        "seq": seq,
        "agent": Agent.STUDENT,
        "kind": TurnKind.DRAFT,
        "content": content,
        "content_hash": content_hash(content),
        "model": "tiny",
    }
    return Turn(**defaults | values)


def verdict(**values: Any) -> Verdict:
    defaults: dict[str, Any] = {
        "id": "v1",
        "run_id": "RUN1",
        "dialogue_id": "d1",
        "agent": "critic",
        "first_turn_id": "t0",
        "second_turn_id": "t1",
        "forward_turn_id": "t2",
        "reverse_turn_id": "t3",
        "p_forward": 0.8,
        "p_reverse": 0.6,
        "p_first": 0.7,
        "consistent": True,
        "outcome": "win",
        "method": "logprobs",
    }
    return Verdict(**defaults | values)


def ballot(**values: Any) -> Ballot:
    defaults: dict[str, Any] = {
        "turn_id": "t2",
        "verdict_id": "v1",
        "member": 0,
        "forward": True,
        "p_first": 0.8,
        "method": "logprobs",
    }
    return Ballot(**defaults | values)


def preference(**values: Any) -> Preference:
    defaults: dict[str, Any] = {
        "id": "p1",
        "run_id": "RUN1",
        "round": 1,
        "dialogue_id": "d1",
        "example_id": "e1",
        "chosen_turn_id": "t0",
        "rejected_turn_id": "t1",
        "source": "candidates",
        "margin": 0.4,
        "length_ratio": 1.1,
        "order_consistent": True,
    }
    return Preference(**defaults | values)


def training(**values: Any) -> Training:
    defaults: dict[str, Any] = {
        "id": "x1",
        "run_id": "RUN1",
        "stage": "round",
        "round": 1,
        "objective": "dpo",
        "parent_version": 1,
        "adapter_version": 2,
        "seed": 3,
        "examples": 1,
    }
    return Training(**defaults | values)
