"""Teachers and writers of critiques that are Python objects, and demonstrations that exist already."""

import asyncio
from typing import Any

import pytest

from openmic.agents.critique import Critique
from openmic.agents.llm import PlugReply
from openmic.agents.plug_cast import KnownDemonstrations, PlugCritiques, PlugTeacher
from openmic.agents.tasks.task import Task
from openmic.core.errors import PlugError
from openmic.core.row_files import unstorable
from openmic.core.text import fold


def demonstrated(teacher: Any, task: Task, count: int = 3) -> tuple[str, ...]:
    shown = asyncio.run(PlugTeacher(teacher, "mine:teach", task).demonstrate("The bus left.", count))
    assert isinstance(shown.origin, PlugReply)
    assert (shown.origin.role, shown.origin.use) == ("teacher", "mine:teach")
    return shown.texts


def test_what_a_function_returns_is_cleaned_and_said_once(task: Task) -> None:
    texts = demonstrated(
        lambda source, _count: [f'"{source} Ha."', f"{source} Ha.", "I can't help with that.", "4"], task
    )
    assert texts == ("The bus left. Ha.",)


def test_one_text_is_one_demonstration_and_an_object_may_demonstrate(task: Task) -> None:
    class Mine:
        async def demonstrate(self, source: str, count: int) -> str:
            return f"{source} {count}"

    assert demonstrated(Mine(), task, 1) == ("The bus left. 1",)


def test_what_is_no_text_is_refused(task: Task) -> None:
    with pytest.raises(PlugError, match="mine:teach returned 3; it is to return a text, or a list of texts"):
        demonstrated(lambda _source, _count: 3, task)


def test_known_demonstrations_are_looked_up_and_run_out(task: Task) -> None:
    texts = one, two, three = "The bus left me.", "The bus is on strike.", "The bus moved on."
    known = KnownDemonstrations({fold("The bus left."): texts}, "file.jsonl", task, taken=1)

    def shown(source: str, count: int, ordinal: int = 0) -> tuple[str, ...]:
        return asyncio.run(known.demonstrate(source, count, ordinal=ordinal)).texts

    assert shown("the bus left", 2) == (one, two)
    assert shown("The bus left.", 1, ordinal=2) == (two,)
    assert shown("The bus left.", 1, ordinal=3) == (three,)
    assert shown("The bus left.", 1, ordinal=4) == ()
    assert shown("Another.", 1) == ()


def test_the_gates_hold_for_what_a_file_or_a_function_gives(task: Task) -> None:
    source, good = "The bus left.", "The bus left me for a tram."
    given = [source, "Ha.", f"<think>Hm.</think>{good}", good, "I'm sorry, but I can't help with that.", good]
    reasons = ["copy of the input", "too short", "duplicate", "refusal", "duplicate"]
    known = KnownDemonstrations({fold(source): tuple(given)}, "file.jsonl", task, taken=1)
    for teacher in (known, PlugTeacher(lambda _source, _count: given, "mine:teach", task)):
        shown = asyncio.run(teacher.demonstrate(source, 6))
        assert shown.texts == (good,)
        assert [output.problem for output in shown.turned_away] == reasons


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("Be brief.", Critique("", "", "Be brief.", parsed=True)),
        ({"missing": "A joke.", "suggestion": "Add one."}, Critique("", "A joke.", "Add one.", parsed=True)),
        (Critique("It is short.", "", "", parsed=False), Critique("It is short.", "", "", parsed=False)),
        ("", Critique("", "", "", parsed=False)),
    ],
)
def test_a_critique_may_be_a_text_a_mapping_or_one(answer: Any, expected: Critique) -> None:
    class Mine:
        def criticise(self, _input: str, _draft: str) -> Any:
            return answer

    reply, found = asyncio.run(PlugCritiques(Mine(), "mine:Mine").criticise("x", "y"))
    assert found == expected
    assert reply.role == "critic"


def test_what_is_no_critique_is_refused() -> None:
    class Mine:
        def criticise(self, _input: str, _draft: str) -> Any:
            return 7

    with pytest.raises(PlugError, match=r"mine:Mine\.criticise returned 7"):
        asyncio.run(PlugCritiques(Mine(), "mine:Mine").criticise("x", "y"))


HALF = "half \ud83d and \0 nothing"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"suggestion": None, "works": "It is short."}, Critique("It is short.", "", "", parsed=False)),
        ({"suggestion": ["Be brief.", "Be kind."]}, Critique("", "", "Be brief. Be kind.", parsed=True)),
        ({"suggestion": ("Be brief.",)}, Critique("", "", "Be brief.", parsed=True)),
        ({"suggestion": {"text": "Be\nbrief."}}, Critique("", "", "Be brief.", parsed=True)),
    ],
)
def test_a_critics_values_are_read_as_a_models_are(answer: Any, expected: Critique) -> None:
    assert criticised(answer)[1] == expected


NO_TEXTS: list[tuple[Any, Any, Any]] = [(None, 5, "Be brief."), ("", "", ["x"])]


@pytest.mark.parametrize("answer", [Critique(*texts, parsed=True) for texts in NO_TEXTS])
def test_a_critique_of_what_is_no_text_is_refused(answer: Critique) -> None:
    with pytest.raises(PlugError, match=r"mine:Mine\.criticise returned Critique\("):
        criticised(answer)


@pytest.mark.parametrize("answer", [HALF, {"suggestion": HALF}, Critique(HALF, HALF, HALF, parsed=True)])
def test_what_no_store_takes_is_replaced_in_a_critique(answer: Any) -> None:
    reply, found = criticised(answer)
    for text in (reply.text, found.works, found.missing, found.suggestion):
        assert unstorable(text) is None
    assert found.suggestion.startswith("half ")
    assert found.suggestion.endswith(" nothing")


def test_what_no_store_takes_is_replaced_in_what_a_teacher_gives_or_raises(task: Task) -> None:
    shown = asyncio.run(PlugTeacher(lambda _source, _count: [HALF], "mine:teach", task).demonstrate("The bus left.", 1))
    assert isinstance(shown.origin, PlugReply)
    for text in (shown.origin.text, *shown.texts, *(output.text for output in shown.turned_away)):
        assert text
        assert unstorable(text) is None

    def fails(_source: str, _count: int) -> str:
        raise ValueError(HALF)

    with pytest.raises(PlugError, match="half") as caught:
        demonstrated(fails, task)
    assert unstorable(str(caught.value)) is None


def criticised(answer: Any) -> tuple[PlugReply, Critique]:
    class Mine:
        def criticise(self, _input: str, _draft: str) -> Any:
            return answer

    return asyncio.run(PlugCritiques(Mine(), "mine:Mine").criticise("x", "y"))
