from datetime import timedelta

import pytest

from openmic.core.records import Agent, LLMReply, LLMRequest, Message, Role, Sampling
from openmic.store import Store
from openmic.store.speeds import ENOUGH, MeasuredSpeeds, measured_speeds

from .rows import START, dialogue, run, training, turn


def reply(
    store: Store, role: Role, latency_ms: float, number: int, *, member: int = 0, reused: str | None = None
) -> None:
    request = LLMRequest(role, "big", (Message(role="user", content=f"{number}?"),), Sampling(), 1, member=member)
    store.save_reply("RUN1", request, LLMReply(text="A", model="big", latency_ms=latency_ms), reused_from=reused)


def test_a_run_without_words_measured_nothing(store: Store) -> None:
    assert measured_speeds(store, "RUN1") == MeasuredSpeeds()


def test_a_students_speed_is_what_it_wrote_while_it_had_anything_to_do(store: Store) -> None:
    # Two actors, each with ten texts of 30 tokens in 2 s at once, five times over, with a pause of 100 s in between.
    texts = [
        turn(
            100 * batch + 10 * actor + place,
            worker=f"pid-{actor}",
            latency_ms=2000.0,
            output_tokens=30,
            created_at=START + timedelta(seconds=102 * batch),
        )
        for batch in range(5)
        for actor in range(2)
        for place in range(10)
    ]
    others = [
        turn(1000, latency_ms=0.0, output_tokens=9999),  # taken over from another run
        turn(1001, agent=Agent.TEACHER, kind="demonstration", latency_ms=9e6, output_tokens=9999),
    ]
    store.add(dialogue(), *texts, *others)
    student = measured_speeds(store, "RUN1").student
    assert student is not None
    assert student.tokens_per_s == pytest.approx(150)
    assert student.at_once == pytest.approx(10)
    assert student.output_tokens == 30


def test_what_goes_on_at_once_is_counted_once(store: Store) -> None:
    texts = [
        turn(place, latency_ms=1000.0 * length, output_tokens=10, created_at=START + timedelta(seconds=ends))
        for place, (ends, length) in enumerate([(4, 4), (3, 1), (6, 3), (20, 1)] * 5)
    ]
    store.add(dialogue(), *texts)
    student = measured_speeds(store, "RUN1").student
    assert student is not None
    assert student.tokens_per_s == pytest.approx(200 / 7)  # from 0 to 6 and from 19 to 20
    assert student.at_once == pytest.approx(45 / 7)


def test_too_few_texts_and_replies_measure_nothing(store: Store) -> None:
    store.add(dialogue(), *(turn(place, latency_ms=10.0, output_tokens=5) for place in range(ENOUGH - 1)))
    for number in range(ENOUGH - 1):
        reply(store, "critic", 10.0, number)
    assert measured_speeds(store, "RUN1") == MeasuredSpeeds()


def test_latencies_are_those_of_each_seat_and_of_replies_that_were_asked_for(store: Store) -> None:
    store.add(run(id="RUN0"))
    for number in range(ENOUGH):
        reply(store, "critic", 1000.0 + 100 * (number % 2), number)
        reply(store, "critic", 500.0, number, member=1)
        reply(store, "judge", 9000.0, number, reused="RUN0")
    assert measured_speeds(store, "RUN1").latency_s == pytest.approx({"critic.0": 1.05, "critic.1": 0.5})


def test_trainings_are_told_apart_by_what_they_learned(store: Store) -> None:
    store.add(
        training(objective="sft", stage="imitation", status="finished", metrics={"tokens": 600, "seconds": 2.0}),
        training(id="x2", adapter_version=3, status="finished", metrics={"tokens": 100, "seconds": 1.0}),
        training(id="x3", adapter_version=4, status="finished", metrics={"tokens": 500, "seconds": 2.0}),
        training(id="x4", adapter_version=5, metrics={"tokens": 1, "seconds": 999.0}),
        training(id="x5", adapter_version=6, status="finished", metrics={}),  # how it went is not known
    )
    assert measured_speeds(store, "RUN1").training_tokens_per_s == {"sft": 300, "dpo": 200}


def test_what_was_thought_alone_is_counted_by_who_thought_it_and_in_what_room(store: Store) -> None:
    def thought(member: int, number: int, room: int | None) -> None:
        asked = LLMRequest("critic", "big", (), Sampling(), 1, member=member, thought_alone=number)
        raw = {} if room is None else {"room": room}
        store.save_reply("RUN1", asked, LLMReply(text="", thought="Hm", model="big", raw=raw))

    assert store.thoughts_alone("RUN1") == {}
    for number, room in enumerate([None, 0, 1024, 4096, 1024]):
        thought(0, number, room)
    thought(1, 1, 0)
    assert store.thoughts_alone("RUN1") == {("critic", 0): (4, 4096), ("critic", 1): (1, 0)}
    assert store.thoughts_alone("RUN2") == {}
