"""The house stands as DESIGN.md draws it: who imports whom, what is linked, what is shipped."""

import ast
import graphlib
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "openmic"
MAY_IMPORT: dict[str, set[str]] = {
    "core": set(),
    "store": {"core"},
    "agents": {"core"},
    "training": {"core"},
    "evaluation": {"core"},
    "simulator": {"core"},
    "graph": {"core", "store", "agents", "training", "evaluation", "simulator"},
    "viewer": {"core", "store", "evaluation"},
    "cli": {"core", "store", "agents", "training", "evaluation", "simulator", "graph", "viewer"},
}
ROOMS = [room for room in MAY_IMPORT if (ROOT / room / "__init__.py").exists()]
BY_NAME = ROOT / "graph" / "studio.py"
"""LangGraph's own tools load this file by its path, so it alone imports openmic by its name."""
KNOW_THE_SIMULATOR = {"graph/context/models.py", "cli/simulate.py"}
"""The one place that starts the embedded cast, and the command that serves it.."""
LONGEST = 500
"""Lines of a file."""
MOST_FILES = 20
"""In a folder of the package."""
FLOORS: dict[str, list[set[str]]] = {
    "graph": [
        {"experiments", "serving"},
        {"runs", "draw", "studio"},
        {"campaign"},
        {"stages", "workers"},
        {"rollout", "preflight", "model_card"},
        {"training_data", "report"},
        {"tracking"},
        {"context"},
    ],
    "training": [
        {"trainer", "standalone", "export"},
        {"example_forms"},
        {"pool"},
        {"loop", "engines"},
        {"adapters", "scoring"},
        {"objectives"},
        {"student", "local_ray", "ray_watch"},
    ],
    "agents": [
        {"plug_cast"},
        {"cast"},
        {"verdicts", "critique"},
        {"llm_agent", "draft_logprobs"},
        {"llm", "overused"},
        {"tasks"},
        {"endpoints"},
    ],
}
"""The floors within a room, top to bottom, by their folders and files. Who lives on one imports from those below it."""
OF_THE_WHOLE = {"benchmarks", "browser", "cluster", "docs", "kills", "quirks", "servers"}
"""Folders of tests that look at more than one room."""
MIGRATIONS = ROOT / "store" / "migrations" / "versions"


def files_of(room: str) -> list[Path]:
    return sorted(path for path in (ROOT / room).rglob("*.py") if "__pycache__" not in path.parts)


ALL_FILES = [path for room in ROOMS for path in files_of(room)]
FACE = sorted(PACKAGE.glob("*.py"))
"""The package's own files, which lie in no room."""


AROUND = [path for folder in ("tests", "benchmarks", "recipes", "examples") for path in files_of(folder)]
"""What no wheel holds."""


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Every import of a file, wherever it stands in it, as its line and its dotted absolute name."""
    parts = ["openmic", *path.relative_to(ROOT).with_suffix("").parts]
    package = parts[:-1]  # of a module its folder, of an __init__ the package itself
    yield from imported_by(ast.parse(path.read_text(encoding="utf-8")), package)


def imported_by(tree: ast.AST, package: list[str]) -> Iterator[tuple[int, str]]:
    """Every import of a module of a package."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = [] if node.level == 0 else package[: len(package) - node.level + 1]
            assert node.level == 0 or base, f"line {node.lineno}: climbs out of the package"
            start = [*base, *(node.module.split(".") if node.module else [])]
            for alias in node.names:
                yield node.lineno, ".".join([*start, alias.name])


def room_of(name: str) -> str | None:
    """The room that an absolute name is in; None for other packages and for openmic's own `__version__`."""
    parts = name.split(".")
    return parts[1] if parts[0] == "openmic" and len(parts) > 1 and parts[1] in MAY_IMPORT else None


def floor_of(path: Path) -> str:
    """The folder or file of its room that a file belongs to; empty for the room's own `__init__`."""
    return path.relative_to(ROOT).parts[1].removesuffix(".py").removesuffix("__init__")


def test_every_folder_with_code_at_the_root_is_a_room_of_the_design() -> None:
    found = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert found == set(ROOMS)
    assert {"core", "store", "agents", "training", "evaluation", "graph", "cli"} <= found


def test_the_package_holds_a_relative_link_for_each_room_and_the_examples_and_its_own_files_alone() -> None:
    links = {path.name: str(path.readlink()) for path in PACKAGE.iterdir() if path.is_symlink()}
    assert links == {name: f"../../{name}" for name in (*ROOMS, "examples")}
    own = {path.name for path in PACKAGE.iterdir() if not path.is_symlink()} - {"__pycache__"}
    face = {
        "api.py",
        "card.py",
        "experiments.py",
        "given.py",
        "run_handle.py",
        "seams.py",
        "speaker.py",
        "table.py",
        "testing.py",
        "types.py",
    }
    assert own == {"__init__.py", "__main__.py", "py.typed"} | face


@pytest.mark.parametrize("path", ALL_FILES, ids=name_of)
def test_a_room_imports_only_the_rooms_it_may(path: Path) -> None:
    own = path.relative_to(ROOT).parts[0]
    allowed = MAY_IMPORT[own] | {own}
    strangers = [(line, name) for line, name in imported(path) if (room := room_of(name)) and room not in allowed]
    assert not strangers, f"{own} may import {sorted(allowed)}"


@pytest.mark.parametrize("path", [*ALL_FILES, *FACE], ids=name_of)
def test_imports_inside_the_package_are_relative(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            tops = {(node.module or "").split(".")[0]}
        elif isinstance(node, ast.Import):
            tops = {alias.name.split(".")[0] for alias in node.names}
        else:
            continue
        assert not tops & set(MAY_IMPORT), f"line {node.lineno}: a bare {tops} is another project's package"
        assert "openmic" not in tops or path == BY_NAME, f"line {node.lineno}: import relatively"


@pytest.mark.parametrize("path", sorted(AROUND), ids=name_of)
def test_what_lies_around_the_package_imports_it_by_its_name(path: Path) -> None:
    tops = {name.split(".")[0] for _, name in imported(path)}
    assert not tops & set(MAY_IMPORT), "a room is a folder at the root; only `openmic` is installed"


@pytest.mark.parametrize("path", [*ALL_FILES, *FACE], ids=name_of)
def test_a_module_can_be_imported_where_there_is_no_posix(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    at_once = ast.Module([node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)], [])
    tops = {name.split(".")[0] for _, name in imported_by(at_once, ["openmic", *["room"] * 9])}
    assert not tops & {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}


def test_the_types_of_all_python_are_checked() -> None:
    checked = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]["files"]
    folders = {Path(name).parts[0] for name in checked}
    linked = {"examples"}  # src/openmic has a link to them
    assert {path.relative_to(ROOT).parts[0] for path in AROUND} <= folders | linked
    assert "src" in folders


def test_production_knows_the_simulator_in_one_place_beside_the_command_that_serves_it() -> None:
    knowing = {
        name_of(path)
        for path in ALL_FILES
        if path.relative_to(ROOT).parts[0] != "simulator"
        and any(room_of(name) == "simulator" for _, name in imported(path))
    }
    assert knowing == KNOW_THE_SIMULATOR


def test_the_file_that_is_loaded_by_path_imports_nothing_but_its_own_room() -> None:
    assert {room_of(name) for _, name in imported(BY_NAME)} == {"graph"}


@pytest.mark.parametrize("path", sorted(ROOT.glob("tests/**/test_*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_test_sets_the_clock_of_its_whole_process(path: Path) -> None:
    """A server's loop in another thread that looks at it just then would sleep until that clock says so: hours."""
    assert not re.search(r"""setattr\((?:time,|"time\.)""", path.read_text(encoding="utf-8"))


def test_rooms_do_not_import_each_other_in_a_circle() -> None:
    seen: dict[str, set[str]] = {room: set() for room in ROOMS}
    for path in ALL_FILES:
        own = path.relative_to(ROOT).parts[0]
        seen[own] |= {room for _, name in imported(path) if (room := room_of(name)) and room != own}
    order = list(graphlib.TopologicalSorter(seen).static_order())
    assert order[0] == "core"
    assert seen["graph"] == MAY_IMPORT["graph"], "the graph brings the rooms together"


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    names = {".".join(["openmic", *path.relative_to(ROOT).with_suffix("").parts]): path for path in ALL_FILES}
    needs: dict[str, set[str]] = {}
    for module, path in names.items():
        found = [name for _, name in imported(path)]
        # `from .a import b` names module a, or module a.b
        wanted = {name if name in names else name.rpartition(".")[0] for name in found}
        needs[module] = {name for name in wanted if name in names and name != module}
    list(graphlib.TopologicalSorter(needs).static_order())


@pytest.mark.parametrize("room", FLOORS)
def test_every_folder_and_file_of_a_room_with_floors_is_on_one(room: str) -> None:
    found = {part for path in files_of(room) if (part := floor_of(path))}
    named = [part for floor in FLOORS[room] for part in floor]
    assert len(named) == len(set(named))
    assert set(named) == found, "FLOORS says what is above what"


@pytest.mark.parametrize("path", [path for room in FLOORS for path in files_of(room) if floor_of(path)], ids=name_of)
def test_a_floor_imports_only_the_floors_below_it(path: Path) -> None:
    room, own = path.relative_to(ROOT).parts[0], floor_of(path)
    height = {part: -number for number, floor in enumerate(FLOORS[room]) for part in floor}
    others = [(line, name.split(".")[2]) for line, name in imported(path) if name.startswith(f"openmic.{room}.")]
    wrong = [(line, other) for line, other in others if other != own and height[other] >= height[own]]
    assert not wrong, f"{own} is on a floor of {room} that is not above"


@pytest.mark.parametrize("text", ["import agents", "from core import ids", "from openmic.store import Store"])
def test_the_check_itself_sees_a_wrong_import(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    path = tmp_path / "evaluation" / "wrong.py"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(AssertionError):
        test_imports_inside_the_package_are_relative(path)
    path.write_text("def late():\n    from ..store import Store\n")
    with pytest.raises(AssertionError, match="evaluation may import"):
        test_a_room_imports_only_the_rooms_it_may(path)


@pytest.mark.parametrize(
    "path",
    [*FACE, *(path for room in ROOMS for path in (ROOT / room).rglob("*") if path.suffix in {".py", ".yaml", ".mako"})],
    ids=name_of,
)
def test_files_are_small(path: Path) -> None:
    if path.parent != MIGRATIONS:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST


@pytest.mark.parametrize("room", ROOMS)
def test_folders_hold_few_files(room: str) -> None:
    files = [path for path in (ROOT / room).rglob("*") if path.is_file() and path.suffix != ".pyc"]
    full = {name_of(folder): number for folder, number in Counter(path.parent for path in files).items()}
    assert not {folder: number for folder, number in full.items() if number > MOST_FILES}
    assert len(FACE) <= MOST_FILES


def test_tests_lie_where_what_they_test_does() -> None:
    tests = ROOT / "tests"
    folders = {path.parent.relative_to(tests) for path in tests.rglob("test_*.py")}
    astray = {str(folder) for folder in folders if folder.parts and folder.parts[0] not in OF_THE_WHOLE}
    assert {folder for folder in astray if not (ROOT / folder / "__init__.py").exists()} == set()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built from a copy, so that no build folder of an earlier day gets into it."""
    folder = tmp_path_factory.mktemp("wheel")
    unwanted = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "tests", "openmic-data")
    shutil.copytree(ROOT, folder / "source", symlinks=True, ignore=unwanted)
    done = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(folder / "source")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    [path] = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_installs_one_package_and_nothing_beside_it(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    [info] = tops - {"openmic"}
    assert info.startswith("openmic-")
    assert info.endswith(".dist-info")


def test_the_wheel_holds_every_module_and_all_data(wheel: zipfile.ZipFile) -> None:
    shipped = {name.removeprefix("openmic/") for name in wheel.namelist() if name.startswith("openmic/")}
    modules = {name_of(path) for path in ALL_FILES} | {path.name for path in FACE}
    tasks = {name_of(path) for path in (ROOT / "agents" / "tasks").glob("*.yaml")}
    assert "agents/tasks/humor.yaml" in tasks
    assert "store/migrations/versions/0001_initial.py" in modules
    word_lists = {name_of(path) for path in [*(ROOT / "simulator").rglob("*.yaml"), *(ROOT / "core").glob("*.txt")]}
    assert {"core/english_function_words.txt", "simulator/humor/lexicon.yaml"} < word_lists
    folders = [ROOT / "viewer" / part for part in ("static", "templates")]
    pages = {name_of(path) for folder in folders for path in folder.rglob("*") if path.is_file()}
    assert "viewer/templates/dialogue.html" in pages
    kinds = {".yaml", ".jsonl", ".py"}
    examples = {name_of(path) for path in (ROOT / "examples").rglob("*") if path.suffix in kinds}
    assert {"examples/humor.yaml", "examples/inputs/humor.jsonl", "examples/titles/headline.py"} < examples
    assert shipped == modules | tasks | word_lists | pages | examples | {"py.typed", "store/migrations/script.py.mako"}


def test_the_wheel_has_the_command(wheel: zipfile.ZipFile) -> None:
    [entry_points] = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    assert "openmic = openmic.cli.app:main" in wheel.read(entry_points).decode()
