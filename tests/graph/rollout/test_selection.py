from openmic.core.ids import content_hash
from openmic.core.records import Agent, TurnKind
from openmic.graph.rollout.selection import most_different_pair, valid_drafts
from openmic.store import Turn


def draft(identity: str, text: str, note: str | None = None) -> Turn:
    return Turn(
        id=identity,
        run_id="RUN1",
        dialogue_id="d",
        seq=0,
        agent=Agent.STUDENT,
        kind=TurnKind.DRAFT,
        content=text,
        content_hash=content_hash(text),
        model="tiny",
        note=note,
    )


def test_drafts_that_a_gate_rejected_are_left_out() -> None:
    assert [t.id for t in valid_drafts([draft("a", "too long", "too long"), draft("b", "good")])] == ["b"]


def test_of_drafts_that_differ_in_case_and_punctuation_alone_the_first_stays() -> None:
    assert [t.id for t in valid_drafts([draft("a", "Oh no!"), draft("b", "oh, no"), draft("c", "oh yes")])] == [
        "a",
        "c",
    ]


def test_the_pair_with_the_largest_edit_distance_is_taken() -> None:
    near = draft("a", "the kettle is as dead as a stone today")
    nearer = draft("b", "the kettle is as dead as a stone tonight")
    far = draft("c", "our morning tea was cancelled by a small strike")
    pair = most_different_pair([near, nearer, far], (0.8, 1.25))
    assert pair is not None
    assert far in pair


def test_pairs_outside_the_length_filter_are_passed_over_in_either_direction() -> None:
    short, long = draft("a", "one two three"), draft("b", "eight nine ten eleven twelve thirteen fourteen")
    alike = draft("c", "one two four")
    assert most_different_pair([short, long], (0.8, 1.25)) is None
    assert most_different_pair([long, short], (0.8, 1.25)) is None
    assert most_different_pair([short, long, alike], (0.8, 1.25)) == (short, alike)
    assert most_different_pair([short, long], (0.1, 10.0)) == (short, long)


def test_one_draft_is_no_pair() -> None:
    assert most_different_pair([draft("a", "alone")], (0.5, 2.0)) is None
    assert most_different_pair([], (0.5, 2.0)) is None
