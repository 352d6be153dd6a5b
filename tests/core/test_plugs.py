"""Other people's code by name: what is found, what is made of it, and the one line where it cannot be."""

import asyncio
import gc
import re
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from openmic.core.concurrency import run_to_end
from openmic.core.config_file import load_config
from openmic.core.errors import ConfigError, PlugError
from openmic.core.plugs import Plug, call_plug, describe_object, describe_plug, import_plug, load_plug

from ..waiting import wait_until

MODULE = '''
"""A module of a user's."""
import dataclasses

@dataclasses.dataclass
class Scaled:
    factor: float = 1.0

    def __call__(self, input, outputs):
        return [self.factor * len(output) for output in outputs]

def shorter(input, outputs):
    return [-len(output) for output in outputs]

def scaled(factor):
    return Scaled(factor)

def picky(factor):
    raise ValueError("factor is odd")

ready = Scaled(3.0)
'''


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """The name of an importable module in the working directory, another one for each test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", __import__("sys").path.copy())
    name = "plug_" + re.sub(r"\W", "_", request.node.name)
    Path(f"{name}.py").write_text(MODULE, encoding="utf-8")
    Path(f"{name}_broken.py").write_text("1 / 0", encoding="utf-8")
    Path(f"{name}_needs.py").write_text("import not_installed_anywhere", encoding="utf-8")
    return name


def test_what_is_only_imported_is_not_made(module: str) -> None:
    found = import_plug(Plug(use=f"{module}:Scaled", kwargs={"factor": 2}), where="here")
    assert found(3.0).factor == 3.0
    with pytest.raises(ConfigError, match="here: there is no 'long'; shipped are short"):
        import_plug(Plug(use="long"), where="here", shipped={"short": f"{module}:shorter"})


def test_a_function_is_returned_as_it_is_and_a_class_is_made(module: str) -> None:
    assert load_plug(Plug(use=f"{module}:shorter"), where="here")("x", ["abc"]) == [-3]
    assert load_plug(Plug(use=f"{module}:Scaled"), where="here").factor == 1.0
    assert load_plug(Plug(use=f"{module}:Scaled", kwargs={"factor": 2}), where="here").factor == 2
    assert load_plug(Plug(use=f"{module}:scaled", kwargs={"factor": 4}), where="here").factor == 4
    assert load_plug(Plug(use=f"{module}:ready"), where="here").factor == 3.0


def test_a_name_that_ships_stands_for_its_path(module: str) -> None:
    assert load_plug(Plug(use="short"), where="here", shipped={"short": f"{module}:shorter"})("", ["a"]) == [-1]


@pytest.mark.parametrize(
    ("use", "kwargs", "message"),
    [
        ("short", {}, "here: there is no 'short'; shipped are long; name your own as module:attribute"),
        ("no_such_module_at_all:f", {}, "here: there is no module 'no_such_module_at_all'"),
        ("MODULE.inner:f", {}, "here: importing MODULE.inner fails|there is no module"),
        ("MODULE:longer", {}, "here: module MODULE has no 'longer'; it has dataclasses, Scaled, shorter"),
        ("MODULE_broken:f", {}, "here: importing MODULE_broken fails: ZeroDivisionError: division by zero"),
        ("MODULE_needs:f", {}, "here: importing MODULE_needs fails: ModuleNotFoundError.*not_installed_anywhere"),
        ("MODULE:Scaled", {"size": 1}, "here: MODULE:Scaled does not take these kwargs: .*'size'"),
        ("MODULE:picky", {"factor": 1}, "here: MODULE:picky could not be made: ValueError: factor is odd"),
        ("__main__:f", {}, "given as a Python object and cannot be imported again"),
    ],
)
def test_what_cannot_be_loaded_is_one_line(module: str, use: str, kwargs: dict[str, object], message: str) -> None:
    plug = Plug(use=use.replace("MODULE", module), kwargs=kwargs)
    with pytest.raises(ConfigError, match=message.replace("MODULE", module)) as caught:
        load_plug(plug, where="here", shipped={"long": "builtins:len"})
    assert "\n" not in str(caught.value)


def test_a_string_alone_is_the_plug() -> None:
    class Holder(BaseModel):
        plug: Plug

    assert Holder.model_validate({"plug": "length"}).plug == Plug(use="length")
    assert Plug(use="a.b:C").label == "C"
    assert Plug(use="a.b:C", name="taste").label == "taste"
    with pytest.raises(ValueError, match="neither a name that ships nor module:attribute"):
        Plug(use="a b:c")


def test_what_a_run_records(module: str) -> None:
    record = describe_plug(Plug(use=f"{module}:Scaled", kwargs={"factor": 2}))
    assert record["use"] == f"{module}:Scaled"
    assert record["kwargs"] == {"factor": 2}
    assert record["importable"] is True
    assert re.fullmatch("[0-9a-f]{64}", record["source_hash"])


def test_an_object_says_whether_it_can_be_imported_again(module: str) -> None:
    shorter = load_plug(Plug(use=f"{module}:shorter"), where="here")
    assert describe_object(shorter) == describe_plug(Plug(use=f"{module}:shorter"))
    assert describe_object(lambda _input, outputs: [0.0 for _ in outputs])["importable"] is False
    made = load_plug(Plug(use=f"{module}:Scaled", kwargs={"factor": 2}), where="here")
    record = describe_object(made)
    assert (record["use"], record["importable"]) == (f"{module}:Scaled", False)
    assert describe_object(len)["source_hash"] is None


def called(function: Callable[..., Any], *given: Any) -> Any:
    return run_to_end(partial(call_plug, function, *given, about="it"))


def test_a_function_that_comes_back_to_itself_waits_for_nobody() -> None:
    class Scorer:
        def score(self, depth: int) -> int:
            return depth if depth == 0 else 1 + called(self.score, depth - 1)

    assert called(Scorer().score, 3) == 3


def test_asynchronous_functions_may_use_each_other_by_way_of_plain_calls() -> None:
    async def inner(value: int) -> int:
        await asyncio.sleep(0)
        return value + 1

    async def outer(value: int) -> int:
        plain = run_to_end(partial(call_plug, inner, value, about="inner"))
        return int(plain) + int(await call_plug(inner, value, about="inner"))

    assert called(outer, 1) == 4


@pytest.mark.parametrize(
    ("raised", "words"),
    [
        (SystemExit(3), "SystemExit"),
        (StopIteration(), "StopIteration"),
        (asyncio.CancelledError(), "CancelledError"),
        (ValueError("odd"), "ValueError: odd"),
    ],
)
@pytest.mark.parametrize("asynchronous", [False, True])
def test_whatever_is_raised_is_the_functions_error(raised: BaseException, words: str, asynchronous: bool) -> None:
    def plain() -> None:
        raise raised

    async def awaited() -> None:
        raise raised

    with pytest.raises(PlugError, match=rf"it failed: .*{words}"):
        called(awaited if asynchronous else plain)


def test_a_module_that_exits_while_it_is_imported_is_one_line(module: str) -> None:
    Path(f"{module}_exits.py").write_text("import sys; sys.exit(7)", encoding="utf-8")
    with pytest.raises(ConfigError, match="fails: SystemExit: 7"):
        load_plug(Plug(use=f"{module}_exits:f"), where="here")


def test_the_thread_of_an_object_ends_with_it() -> None:
    class Scorer:
        def score(self) -> str:
            return threading.current_thread().name

    before = threading.active_count()
    for _ in range(50):
        assert called(Scorer().score).startswith("openmic-plug")
    gc.collect()
    wait_until(lambda: threading.active_count() <= before + 2)


def test_nothing_that_is_handed_out_can_be_changed_for_others() -> None:
    fields, heard = {"question": "Q?"}, ["ha"]

    def spoil(source: dict[str, str], *, overused: list[str]) -> str:
        overused.append("hm")
        return source.pop("question")

    assert run_to_end(lambda: call_plug(spoil, fields, about="spoil", overused=heard)) == "Q?"
    assert (fields, heard) == ({"question": "Q?"}, ["ha"])


def test_an_asynchronous_function_stays_in_its_loop_however_often_it_awaits_another() -> None:
    async def inner() -> str:
        return threading.current_thread().name

    async def outer() -> set[str]:
        here = threading.current_thread().name
        found = {here}
        for _ in range(4):
            found.add(await call_plug(inner, about="inner"))
            found.add(await asyncio.ensure_future(call_plug(inner, about="inner")))
        return found

    assert len(called(outer)) == 1


def test_a_module_is_found_in_the_configurations_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    (folder / "beside_the_configuration.py").write_text(
        "def score(source, outputs):\n    return [1.0] * len(outputs)\n"
    )
    (folder / "run.yaml").write_text("inputs: {path: i.txt}\n")
    monkeypatch.chdir(elsewhere)
    load_config(folder / "run.yaml")
    found = load_plug(Plug(use="beside_the_configuration:score"), where="cast.critic")
    assert found("a", ["b"]) == [1.0]
    with pytest.raises(ConfigError, match=rf"looked in {elsewhere}, .*{folder}"):
        load_plug(Plug(use="nowhere_at_all_1:score"), where="cast.critic")
