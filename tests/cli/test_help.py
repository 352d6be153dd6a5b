import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
from typer import Context
from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

from openmic import __version__
from openmic.cli.app import COMMANDS as TOLD
from openmic.cli.app import EPILOG, app
from openmic.cli.options import FINISHED_WITH_FAILURES
from openmic.core import errors
from openmic.core.errors import OpenmicError

RUNNER = CliRunner()


def commands(group: TyperGroup, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    context = Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, TyperGroup):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


ROOT = get_command(app)
assert isinstance(ROOT, TyperGroup)
COMMANDS = sorted(commands(ROOT))
PROMISED = {
    ("init",),
    ("run",),
    ("resume",),
    ("runs",),
    ("status",),
    ("transcripts", "list"),
    ("transcripts", "show"),
    ("chat",),
    ("serve",),
    ("model", "export"),
    ("model", "push"),
    ("config", "show"),
    ("config", "schema"),
    ("graph", "draw"),
    ("simulate",),
}


def test_every_promised_command_is_there() -> None:
    assert set(COMMANDS) >= PROMISED


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_the_help_of_every_command_has_an_example_of_it(command: tuple[str, ...], flag: str) -> None:
    result = RUNNER.invoke(app, [*command, flag], env={"COLUMNS": "120"})
    assert result.exit_code == 0
    assert "Example" in result.stdout
    examples = result.stdout.partition("Example")[2]
    assert f"openmic {' '.join(command)}" in examples


@pytest.mark.parametrize("group", sorted({command[0] for command in COMMANDS if len(command) > 1}))
def test_completion_is_offered_by_the_whole_alone(group: str) -> None:
    assert "completion" not in RUNNER.invoke(app, [group, "--help"]).stdout


def test_the_help_of_the_whole_says_the_exit_codes_and_where_to_start() -> None:
    result = RUNNER.invoke(app, ["--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    said = " ".join(result.stdout.split())
    assert "openmic run --example humor" in said
    for code in ("0 done", "1 failed", "2 usage", "3 finished with failures", "4 budget spent", "130 interrupted"):
        assert code in said


def test_no_exit_code_is_promised_but_those_that_commands_end_with() -> None:
    of_errors = {
        kind.exit_code for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, OpenmicError)
    }
    for promise in (EPILOG, str(errors.__doc__).partition("exit codes")[2]):
        codes = {int(code) for code in re.findall(r"\d+(?= [a-z])", promise)}
        assert codes == {0, FINISHED_WITH_FAILURES, *of_errors}


def test_completion_can_be_installed() -> None:
    assert "--install-completion" in RUNNER.invoke(app, ["--help"]).stdout


def test_the_version_is_that_of_the_package() -> None:
    assert RUNNER.invoke(app, ["--version"]).stdout == f"openmic {__version__}\n"


def test_the_help_tells_what_each_command_does_in_one_line() -> None:
    shown = RUNNER.invoke(app, ["--help"], env={"COLUMNS": "80", "TERMINAL_WIDTH": "80"}).stdout
    assert {path[0] for path in COMMANDS} == set(TOLD)
    for name, told in TOLD.items():
        assert re.search(rf"^  {name} +{re.escape(told)}$", shown, re.MULTILINE), "in eighty columns"


def test_an_unknown_command_is_an_error_that_names_what_is_like_it() -> None:
    refused = RUNNER.invoke(app, ["transcript"])
    assert refused.exit_code == 2
    assert "transcripts" in refused.output


def test_help_and_completion_import_no_command() -> None:
    """What they import is what they take; seconds depend on the machine."""
    asked = (
        "import sys; from openmic.cli.app import app; from typer.main import get_command; from typer import Context;"
        "group = get_command(app); context = Context(group); "
        "group.get_help(context); print([item.value for item in group.shell_complete(context, 'ra')]); "
        "print([name for name in ('sqlalchemy', 'pydantic', 'jinja2', 'torch', 'ray') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines() == ["['ratings']", "[]"]


def test_what_only_looks_at_a_store_imports_no_numpy() -> None:
    asked = (
        "import sys; import openmic.cli.status, openmic.cli.runs, openmic.cli.transcripts.list, openmic.graph.report; "
        "print([name for name in ('numpy', 'alembic', 'torch', 'ray') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines() == ["[]"]
