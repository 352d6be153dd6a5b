import json
from pathlib import Path
from typing import Any

import pytest

from openmic.agents.tasks.functions import MOST_REASON
from openmic.agents.tasks.task import Task, load_task
from openmic.core.errors import ConfigError, OpenmicError, PlugError, TaskError
from openmic.core.ids import content_hash
from openmic.core.row_files import unstorable

from ..task_files import write_task
from . import task_functions as functions

HERE = functions.__name__
STUDENT = functions.STUDENT


def with_functions(tmp_path: Path, clean: Any = (), gates: Any = ()) -> Task:
    cleaning, validity = {"functions": list(clean)}, {"functions": list(gates)}
    return load_task(str(write_task(tmp_path, cleaning=cleaning, validity=validity)))


def test_functions_of_a_task_file_clean_after_ours_and_judge_after_ours(tmp_path: Path) -> None:
    gate = {"use": f"{HERE}:Without", "kwargs": {"word": "nantucket"}}
    task = with_functions(tmp_path, [f"{HERE}:tidy"], [gate])
    assert task.clean('1. "There once was a bus!"') == "There once was a bus"
    assert task.problem("There once was a bus", "A bus.") is None
    assert task.problem("A bus from Nantucket left.", "A bus left me.") == "says nantucket"
    assert task.problem("Nantucket", "A bus.") == "too short"
    assert [found.text for found in task.outputs("1. One!\n2. Two!", "x", 2)] == ["One", "Two"]


def test_functions_may_be_given_in_python_beside_those_of_the_file(tmp_path: Path) -> None:
    path = write_task(tmp_path, cleaning={"functions": [f"{HERE}:tidy"]})
    task = Task.from_file(
        path, clean=str.upper, gates=[functions.Without("gin"), lambda text, _: "dull" * ("rain" in text) or None]
    )
    assert task.clean("a bus!") == "A BUS"
    assert task.problem("a glass of gin", "A bus.") == "says gin"
    assert task.problem("more rain, bus", "A bus.") == "dull"
    assert Task.from_file("humor").problem("more rain, bus", "A bus.") is None


def test_a_gate_gets_the_fields_of_an_input_that_has_several() -> None:
    task = Task("answers", student=STUDENT, inputs=["question", "context"], gates=lambda *_: None)
    task = Task("answers", student=STUDENT, inputs=["question", "context"], gates=_context_or_sample)
    source = {"question": "Why did it leave?", "context": "Tired buses go to sleep."}
    assert task.problem("It was Tired of us.", source) is None
    assert task.problem("Nobody can say.", source) == "leaves the context out"


def _context_or_sample(text: str, source: Any) -> str | None:
    return None if source["context"].startswith("(") else functions.mentions_context(text, source)


def test_a_reason_is_one_short_line() -> None:
    task = Task("mine", student=STUDENT, gates=lambda text, _: None if "model" in text else f"two\nlines {'x' * 200}")
    assert task.problem("A bus left.", "x") == f"two lines {'x' * 200}"[:MOST_REASON]


def test_the_hash_of_a_task_is_of_its_functions_too(tmp_path: Path) -> None:
    plain, tidied = with_functions(tmp_path), with_functions(tmp_path, [f"{HERE}:tidy"])
    one, other = (
        with_functions(tmp_path, gates=[{"use": f"{HERE}:Without", "kwargs": {"word": word}}]) for word in ("a", "bus")
    )
    assert len({task.hash for task in (plain, tidied, one, other)}) == 4
    assert with_functions(tmp_path, [f"{HERE}:tidy"]).hash == tidied.hash
    given = Task.from_file("humor", clean=functions.tidy)
    assert given.hash != load_task("humor").hash
    assert given.hash == Task.from_file("humor", clean=functions.tidy).hash


def test_what_a_run_keeps_of_a_function_says_where_it_came_from(tmp_path: Path) -> None:
    task = Task.from_file("humor", clean=functions.tidy, gates=lambda *_: None)
    tidy, anonymous = task.functions.records["cleaning.functions.0"], task.functions.records["validity.functions.0"]
    assert tidy["use"] == f"{HERE}:tidy"
    assert (tidy["importable"], anonymous["importable"]) == (True, False)
    assert tidy["source_hash"] == content_hash(
        'def tidy(text: str) -> str:\n    return text.removesuffix("!").strip()\n'
    )
    assert json.loads(json.dumps(task.functions.records)) == task.functions.records


BAD: list[tuple[str, list[Any], type[OpenmicError], str]] = [
    ("cleaning", [f"{HERE}:fails"], TaskError, "task_functions:fails (cleaning.functions.0) failed for 'A text that"),
    (
        "cleaning",
        [f"{HERE}:tidy", f"{HERE}:no_text"],
        TaskError,
        "no_text (cleaning.functions.1) returned ['A', 'text'",
    ),
    (
        "cleaning",
        [f"{HERE}:later"],
        TaskError,
        "later (cleaning.functions.0) has to be a plain function, not <function",
    ),
    ("cleaning", [f"{HERE}:NOT_CALLABLE"], TaskError, "has to be a plain function, not 7"),
    ("validity", [f"{HERE}:yes"], TaskError, "yes (validity.functions.0) returned True for 'A text that a model"),
    ("validity", [f"{HERE}:tidy"], TaskError, "TypeError: tidy() takes 1 positional argument but 2 were given"),
    (
        "validity",
        [f"{HERE}:nowhere"],
        ConfigError,
        "validity.functions.0: module tests.agents.tasks.task_functions has",
    ),
    ("validity", [f"{HERE}:Without"], ConfigError, "missing"),
    ("validity", ["no.such.module:gate"], ConfigError, "validity.functions.0: there is no module 'no"),
    ("cleaning", ["tidy"], ConfigError, "cleaning.functions.0: there is no 'tidy'; name your own as module:attribute"),
]


@pytest.mark.parametrize(("section", "named", "error", "message"), BAD, ids=[message for *_, message in BAD])
def test_a_function_that_cannot_work_is_found_when_the_task_is_loaded(
    tmp_path: Path, section: str, named: list[Any], error: type[OpenmicError], message: str
) -> None:
    with pytest.raises(error) as caught:
        load_task(str(write_task(tmp_path, **{section: {"functions": named}})))
    assert message in str(caught.value)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


def test_a_function_that_fails_in_a_run_fails_one_item_and_says_which_text(tmp_path: Path) -> None:
    task = with_functions(tmp_path, gates=[f"{HERE}:fails_on_buses"])
    with pytest.raises(
        PlugError, match=r"fails_on_buses \(validity\.functions\.0\) failed for 'The bus left\.'"
    ) as caught:
        task.problem("The bus left.", "A bus.")
    assert str(caught.value).endswith("LookupError: no bus known")


# Tasks made in Python


def test_a_task_may_be_made_of_prompts_alone() -> None:
    task = Task("limerick", student={"system": "Rhyme.", "draft": "Rhyme this: {{ input }}"}, validity={"min_words": 9})
    assert task.render("student", "draft", input="A bus.")[1].content == "Rhyme this: A bus."
    assert task.render("student", "revise", input="A bus.", suggestion="Louder.")[1].content == "Louder."
    assert task.problem("Too short.", "A bus.") == "too short"
    assert [template.name for template in task.templates()] == ["student.draft", "student.revise", "student.system"]
    with pytest.raises(
        TaskError, match=r"task limerick has no prompt critic\.compare, only none of that role; add it to"
    ):
        task.template("critic", "compare")


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"student": {}}, "task mine: student.system is missing"),
        ({"student": {"sistem": "x"}}, "unknown key 'student.sistem'; did you mean 'student.system'?"),
        ({"student": {**STUDENT, "draft": "Hm."}}, "student.draft never shows {{ input }}"),
        ({"student": STUDENT, "teacher": {"system": "x", "demonstrate": "{{ input }}"}}, "never shows {{ count }}"),
        ({"student": STUDENT, "gates": 7}, "'int' object is not iterable"),
    ],
)
def test_parts_that_are_wrong_are_named(parts: dict[str, Any], message: str) -> None:
    with pytest.raises((TaskError, TypeError)) as caught:
        Task("mine", **parts)
    assert message in str(caught.value)


def test_a_configuration_may_name_a_task_or_what_makes_one() -> None:
    assert load_task(f"{HERE}:LIMERICK") is functions.LIMERICK
    assert load_task(f"{HERE}:make_limerick").name == "limerick-made"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (f"{HERE}:NOT_CALLABLE", "NOT_CALLABLE is a int, and no openmic.Task"),
        (f"{HERE}:tidy", "could not be made: TypeError: tidy() missing 1 required positional argument"),
        (f"{HERE}:make_nothing", "could not be made: RuntimeError: out of rhymes"),
        (f"{HERE}:STUDENT", "STUDENT is a dict"),
        ("no.such:task", "task: there is no module 'no"),
        ("9:7", "task '9:7' is no name that ships, no .yaml file and no module:attribute"),
    ],
)
def test_what_is_no_task_is_refused(name: str, message: str) -> None:
    with pytest.raises((TaskError, ConfigError)) as caught:
        load_task(name)
    assert message in str(caught.value)


def test_what_no_store_takes_is_replaced_in_what_functions_return() -> None:
    spoilt = "half \ud83d \0 of a bus left me"
    task = Task("mine", student=STUDENT, clean=lambda _: spoilt, gates=lambda *_: spoilt)
    for text in (task.clean("A bus left."), task.problem("A bus left.", "x")):
        assert text is not None
        assert unstorable(text) is None

    def fails(text: str, _source: Any) -> str:
        raise ValueError(spoilt)

    with pytest.raises(PlugError, match="half") as caught:
        Task("mine", student=STUDENT, gates=lambda text, _: None if "model" in text else fails(text, _)).problem(
            "A bus left.", "x"
        )
    assert unstorable(str(caught.value)) is None
