import pytest

from openmic.store import Annotation, Dialogue, Store
from openmic.store.search.filters import DialogueFilter
from openmic.store.tags import tag_changes, tags_of

from .rows import dialogue


@pytest.fixture
def talk(store: Store) -> Store:
    store.add(dialogue(), dialogue(id="d2", round=2))
    return store


def change(store: Store, *tags: str, remove: bool = False) -> int:
    found = store.get(Dialogue, "d1")
    assert found is not None
    changes = tag_changes(store, found, tags, author="ann", remove=remove)
    store.add(*changes)
    return len(changes)


def test_a_tag_is_put_on_taken_off_and_put_on_again(talk: Store) -> None:
    tagged = DialogueFilter(tag="keep")
    assert change(talk, "keep", "funny", "keep") == 2
    assert tags_of(talk, ["d1", "d2"]) == {"d1": ["funny", "keep"]}
    assert [line.dialogue.id for line in talk.dialogues("RUN1", tagged)] == ["d1"]
    assert change(talk, "keep", remove=True) == 1
    assert tags_of(talk, ["d1"]) == {"d1": ["funny"]}
    assert talk.dialogues("RUN1", tagged) == []
    assert change(talk, "keep") == 1
    assert talk.count_dialogues("RUN1", tagged) == 1


def test_what_is_so_already_adds_nothing(talk: Store) -> None:
    assert change(talk, "keep", remove=True) == 0
    assert change(talk, "keep") == 1
    assert change(talk, "keep") == 0
    [row] = talk.select(Annotation)
    assert (row.author, row.author_kind, row.run_id, row.dialogue_id) == ("ann", "human", "RUN1", "d1")
