"""Transcripts that were never held, of any number of turns, for measuring the store. The same ones every time.

A dialogue has five turns (two drafts, both replies of a verdict, a critique) with their prompts and replies, a verdict,
its two ballots, a critique and, where the verdict is no tie, a preference that a training consumed. Texts have 40 to
300 characters, and words that are as common, or as rare, as those of a language.
"""

import itertools
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlmodel import SQLModel

from openmic.core.ids import content_hash, derive_id
from openmic.core.records import Agent, Message, Outcome, Split, Stage, TurnKind
from openmic.store import (
    Adapter,
    BallotRow,
    CritiqueRow,
    Dialogue,
    ExampleRow,
    LLMCall,
    Preference,
    PromptRow,
    PromptTemplateRow,
    Run,
    RunExample,
    Training,
    TrainingItem,
    Turn,
    VerdictRow,
)
from openmic.store.tally import as_text, counted

TURNS_OF_A_DIALOGUE = 5
DIALOGUES_OF_A_RUN = 20_000
ROUNDS = 4
INPUTS = 6_000
"""Each has a dialogue in a run's round at most, as in a campaign."""
Rows = list[SQLModel]
_BEGUN = datetime(2025, 1, 1, tzinfo=UTC)
_SAID = (
    (Agent.STUDENT, TurnKind.DRAFT),
    (Agent.STUDENT, TurnKind.DRAFT),
    (Agent.CRITIC, TurnKind.VERDICT),
    (Agent.CRITIC, TurnKind.VERDICT),
    (Agent.CRITIC, TurnKind.CRITIQUE),
)


class Texts:
    """Texts of made-up words, of which the commonest stands in nearly every one and most in hardly any."""

    def __init__(self) -> None:
        self.random = random.Random(7)  # noqa: S311 - nothing is secret
        syllables = ["".join(pair) for pair in itertools.product("bdfgklmnprstvz", "aeiou")]
        sizes = [1 + int(self.random.expovariate(0.8)) for _ in range(20_000)]
        self.words = list(dict.fromkeys("".join(self.random.choices(syllables, k=size)) for size in sizes))
        self._weights = list(itertools.accumulate(1 / (place + 3) for place in range(len(self.words))))
        self._stock = self.random.choices(self.words, cum_weights=self._weights, k=200_000)

    def text(self) -> str:
        """One text."""
        begin, length = self.random.randrange(len(self._stock) - 60), self.random.randint(40, 300)
        return " ".join(self._stock[begin : begin + 60])[:length].rstrip()

    def query(self) -> str:
        """One to three words, each as likely as it is to be said."""
        return " ".join(self.random.choices(self._stock, k=self.random.randint(1, 3)))


def groups(turns: int, texts: Texts) -> Iterator[Rows]:
    """All rows, in groups that belong together, those that others refer to first."""
    yield [PromptTemplateRow(hash="p", task="made", role="r", purpose="p", version="1", text="t")]
    dialogues = turns // TURNS_OF_A_DIALOGUE
    inputs = [texts.text() for _ in range(min(INPUTS, dialogues // ROUNDS + 10))]
    examples = list(dict.fromkeys(content_hash(text) for text in inputs))
    by_id = {content_hash(text): text for text in inputs}
    yield [ExampleRow(id=example, text=by_id[example]) for example in examples]
    yield [_prompt(by_id[example]) for example in examples]
    for number, first in enumerate(range(0, dialogues, DIALOGUES_OF_A_RUN)):
        yield from _run(f"RUN{number}", min(DIALOGUES_OF_A_RUN, dialogues - first), by_id, texts)


def _run(run_id: str, dialogues: int, examples: dict[str, str], texts: Texts) -> Iterator[Rows]:
    facts: dict[str, Any] = {"name": "made", "task": "made", "task_hash": "t", "config_hash": "c", "home": "nowhere"}
    yield [Run(id=run_id, status="finished", created_at=_BEGUN, seed=1, **facts)]
    yield [
        RunExample(run_id=run_id, example_id=example, position=place, split=Split.TRAIN)
        for place, example in enumerate(examples)
    ]
    inputs = list(examples.items())
    for version in range(ROUNDS + 1):
        yield _adapter(run_id, version)
    for number in range(dialogues):
        yield _dialogue(run_id, number, number * ROUNDS // dialogues + 1, inputs[number % len(inputs)], texts)


def _adapter(run_id: str, version: int) -> Rows:
    training, stage = derive_id(run_id, "training", version), "round" if version else "base"
    common: dict[str, Any] = {"run_id": run_id, "stage": stage, "round": version, "parent_version": max(0, version - 1)}
    adapter = {"id": derive_id(run_id, "adapter", version), "version": version, "base_model": "made", **common}
    if not version:
        return [Adapter(**adapter, status="promoted")]
    trained: dict[str, Any] = {"adapter_version": version, "objective": "dpo", "seed": 1, "examples": 1}
    made = Adapter(**adapter, training_id=training, status="promoted")
    return [Training(id=training, status="finished", **common, **trained), made]


def _dialogue(run_id: str, number: int, round_number: int, example: tuple[str, str], texts: Texts) -> Rows:
    dialogue = derive_id(run_id, number)
    ids = [derive_id(dialogue, seq) for seq in range(TURNS_OF_A_DIALOGUE)]
    moment = _BEGUN + timedelta(seconds=number)
    p = texts.random.random()
    outcome: Outcome = "win" if p > 0.55 else "loss" if p < 0.45 else "tie"
    of_run: dict[str, Any] = {"run_id": run_id, "dialogue_id": dialogue, "created_at": moment}
    asked = _prompt(example[1])
    held = Dialogue(
        id=dialogue,
        run_id=run_id,
        stage=Stage.COLLECT,
        round=round_number,
        example_id=example[0],
        prompt_hash=asked.hash,
        status="finished",
        stop_reason=("accepted", "no difference", "turns used up")[number % 3],
        final_turn_id=ids[0],
        started_at=moment,
        finished_at=moment,
    )
    rows: Rows = [held]
    for seq, (agent, kind) in enumerate(_SAID):
        said = texts.text()
        if agent is Agent.STUDENT:
            rows.append(Turn(id=ids[seq], **of_run, **_turn(seq, agent, kind, said), **_drafted(round_number, asked)))
        else:
            call = _call(run_id, ids[seq], said, texts.text())
            answers: dict[str, Any] = {"request_key": ids[seq], "prompt_hash": call[0].hash}
            rows += [*call, Turn(id=ids[seq], **of_run, **_turn(seq, agent, kind, said), **answers)]
    verdict = VerdictRow(
        id=derive_id(dialogue, "verdict"),
        agent="critic",
        first_turn_id=ids[0],
        second_turn_id=ids[1],
        forward_turn_id=ids[2],
        reverse_turn_id=ids[3],
        p_forward=p,
        p_reverse=p,
        p_first=p,
        consistent=True,
        outcome=outcome,
        method="logprobs",
        source="candidates",
        **of_run,
    )
    rows.append(verdict)
    for place, forward in ((2, True), (3, False)):
        ballot: dict[str, Any] = {"turn_id": ids[place], "verdict_id": verdict.id, "member": 0, "forward": forward}
        rows.append(BallotRow(**ballot, p_first=p, method="logprobs"))
    parts = {"works": said[:40], "missing": said[40:80], "suggestion": said[80:]}
    rows.append(CritiqueRow(turn_id=ids[4], target_turn_id=ids[0], parse_ok=True, **parts))
    if outcome != "tie":
        chosen, rejected = (0, 1) if outcome == "win" else (1, 0)
        preference = Preference(
            id=derive_id(dialogue, "preference"),
            round=round_number,
            example_id=example[0],
            chosen_turn_id=ids[chosen],
            rejected_turn_id=ids[rejected],
            source="candidates",
            margin=abs(2 * p - 1),
            length_ratio=1.0,
            verdict_id=verdict.id,
            **of_run,
        )
        training = derive_id(run_id, "training", round_number)
        item: dict[str, Any] = {"id": derive_id(dialogue, "item"), "run_id": run_id, "position": number}
        rows += [preference, TrainingItem(**item, training_id=training, preference_id=preference.id)]
    held.tally = as_text(counted((row for row in rows if isinstance(row, Turn)), [verdict], []))
    return rows


def _turn(seq: int, agent: Agent, kind: TurnKind, content: str) -> dict[str, Any]:
    return {
        "seq": seq,
        "agent": agent,
        "kind": kind,
        "content": content,
        "content_hash": content_hash(content),
        "template_hash": "p",
        "model": "made",
        "sampling": {"temperature": 0.9, "top_p": 0.95, "max_tokens": 128},
        "seed": seq,
        "finish_reason": "stop",
        "input_tokens": 80,
        "output_tokens": len(content) // 4,
        "latency_ms": 412.5,
    }


def _drafted(round_number: int, asked: PromptRow) -> dict[str, Any]:
    raw = {"text": "as it was", "token_ids": list(range(40))}
    return {"adapter_version": round_number - 1, "prompt_hash": asked.hash, "raw": raw}


def _prompt(text: str) -> PromptRow:
    return PromptRow.of([Message(role="system", content="Answer."), Message(role="user", content=text)])


def _call(run_id: str, key: str, said: str, question: str) -> tuple[PromptRow, LLMCall]:
    choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
    raw = {"id": "chatcmpl", "object": "chat.completion", "choices": [choice], "usage": {"total_tokens": 120}}
    prompt = _prompt(f"{key} {question}")
    usage = {"input": 80, "cached": 0, "output": len(said) // 4, "reasoning": 0}
    reply = {"text": said, "model": "made", "usage": usage, "latency_ms": 412.5, "raw": raw}
    asked: dict[str, Any] = {"run_id": run_id, "key": key, "prompt_hash": prompt.hash}
    answered: dict[str, Any] = {"reply": reply, "reply_hash": content_hash(reply)}
    return prompt, LLMCall(**asked, role="critic", model="made", request={"seed": 1}, **answered)
