from openmic.graph.training_data.rankings import rankings
from openmic.store import Preference


def prefer(chosen: str, rejected: str, dialogue: str = "d") -> Preference:
    return Preference(
        id=f"{chosen}>{rejected}",
        run_id="RUN1",
        round=1,
        dialogue_id=dialogue,
        example_id="e",
        chosen_turn_id=chosen,
        rejected_turn_id=rejected,
        source="candidates",
        margin=0.5,
        length_ratio=1.0,
    )


def found(*preferences: Preference) -> list[tuple[str, list[str]]]:
    return [("".join(r.turns), [p.id for p in r.preferences]) for r in rankings(preferences)]


def test_a_revision_over_the_better_draft_makes_a_ranking_of_three() -> None:
    assert found(prefer("a", "b"), prefer("r", "a")) == [("rab", ["a>b", "r>a"])]


def test_what_follows_from_a_ranking_is_part_of_it() -> None:
    assert found(prefer("a", "b"), prefer("b", "c"), prefer("a", "c")) == [("abc", ["a>b", "b>c", "a>c"])]


def test_texts_that_were_never_compared_are_not_ranked_against_each_other() -> None:
    assert found(prefer("a", "b"), prefer("a", "c")) == [("ab", ["a>b"]), ("ac", ["a>c"])]


def test_dialogues_are_kept_apart() -> None:
    assert found(prefer("a", "b"), prefer("c", "a", "other")) == [("ab", ["a>b"]), ("ca", ["c>a"])]


def test_a_circle_stays_pairs() -> None:
    circle = [prefer("a", "b"), prefer("b", "c"), prefer("c", "a")]
    assert sorted(held for _, ids in found(*circle) for held in ids) == ["a>b", "b>c", "c>a"]
    assert max(len(turns) for turns, _ in found(*circle)) == 3 or len(found(*circle)) == 3


def test_every_preference_is_in_one_ranking() -> None:
    given = [prefer("a", "b"), prefer("a", "c"), prefer("b", "d"), prefer("c", "d"), prefer("a", "d")]
    held = [identity for _, ids in found(*given) for identity in ids]
    assert sorted(held) == sorted(p.id for p in given)
