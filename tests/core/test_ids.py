import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmic.core.ids import content_hash, derive_id, derive_seed, new_id

from ..properties import steady

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=2), inner, max_size=3),
    max_leaves=8,
)


def test_new_ids_are_unique_and_sort_by_the_time_they_were_made() -> None:
    ids = []
    for _ in range(5):
        ids.append(new_id())
        time.sleep(0.002)
    assert ids == sorted(ids)
    assert {len(id_) for id_ in ids} == {26}
    assert len({new_id() for _ in range(1000)}) == 1000


def test_a_texts_hash_is_its_sha_256() -> None:
    assert content_hash("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_the_order_of_keys_changes_no_hash_and_everything_else_does() -> None:
    assert content_hash({"a": 1, "b": [2]}) == content_hash({"b": [2], "a": 1})
    values: list[object] = [{"a": 1}, {"a": "1"}, {"a": None}, {"b": 1}, [1], ["1"], [[1]], "[1] "]
    assert len({content_hash(value) for value in values}) == len(values)


def test_what_json_cannot_hold_has_no_hash() -> None:
    with pytest.raises(ValueError, match="JSON"):
        content_hash({"loss": float("nan")})
    with pytest.raises(TypeError):
        content_hash({"when": object()})


@steady
@given(JSON)
def test_equal_values_have_equal_hashes(value: object) -> None:
    assert content_hash([value]) == content_hash([value])
    assert content_hash([value]) != content_hash([value, value])


def test_seeds_are_the_same_on_every_machine() -> None:
    assert derive_seed(7, "teacher", "demonstrate", 0) == 1710063193
    assert derive_id("run", "example", 1) == "ac48231485ca8a6495af2e139b008974"


def test_seeds_do_not_depend_on_the_process() -> None:
    code = "from openmic.core.ids import derive_seed, derive_id; print(derive_seed(1, 'a'), derive_id('b', 2))"
    environment = {"PYTHONHASHSEED": "99"}
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert said.stdout.split() == [str(derive_seed(1, "a")), derive_id("b", 2)]


def test_every_part_of_a_seed_counts_and_where_it_stands() -> None:
    parts: list[tuple[str | int, ...]] = [(1, 2), (2, 1), (12,), (1, "2", ""), ("", 1, 2), ("1 2",)]
    assert len({derive_seed(*part) for part in parts}) == len(parts)
    assert len({derive_id("run", *part) for part in parts}) == len(parts)


def test_ids_within_the_same_thing_begin_alike() -> None:
    run, other = "01M84CE03TK1YYXY35WEWS01RT", "01M84C14MFHSNN02BNF6JFNJ26"
    dialogues = [derive_id(run, number) for number in range(200)]
    assert len(set(dialogues)) == 200
    assert len({dialogue[:2] for dialogue in dialogues}) == 1
    assert derive_id(other, 0)[:2] != dialogues[0][:2]
    turns = [derive_id(dialogues[0], seq) for seq in range(200)]
    assert {turn[:12] for turn in turns} == {dialogues[0][:12]}
    assert {len(identity) for identity in (*dialogues, *turns)} == {32}
    assert derive_id(turns[3], "verdict")[:12] == dialogues[0][:12]
    # What follows is as good as drawn by lot, so that a beginning that people type is rarely another's.
    assert len({dialogue[2:7] for dialogue in dialogues}) > 190
    assert len({turn[12:17] for turn in turns}) > 190


def test_seeds_fill_their_range_and_never_leave_it() -> None:
    seeds = [derive_seed("range", number) for number in range(2000)]
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert min(seeds) < 2**31 * 0.01
    assert max(seeds) > 2**31 * 0.99
