"""What is used of other packages that nobody promises, and that each of these has an upper bound, which is tested.

To move a bound: install the newer version, run all tests, and `make test-vllm`; then change pyproject.toml.
"""

import ast
import tomllib
from collections.abc import Mapping, Sequence
from functools import reduce
from importlib import import_module
from importlib.metadata import version

import pytest
from packaging.requirements import Requirement

from openmic.training.engines.continuous_needs import NEEDED, TESTED

from .test_house import ALL_FILES, ROOT, name_of

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
BOUNDED = {found.name: found for found in map(Requirement, PROJECT["dependencies"]) if "<" in str(found.specifier)}
PARTS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "langchain-core": {"langchain_core.runnables.config": ["var_child_runnable_config"]},
    "langchain-openai": {
        "langchain_openai": [
            f"ChatOpenAI.{name}" for name in ("_agenerate", "_get_request_payload", "_create_chat_result")
        ]
    },
    "openai": {"openai": ["AsyncOpenAI._make_status_error_from_response"]},
    "ray": {
        "ray._private.ray_constants": ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"],
        "ray._private.services": ["resolve_ip_for_localhost"],
        "ray._private.utils": ["set_sigterm_handler"],
        "ray._private.worker": ["_global_node"],
    },
    "torch": {"torch": ["_foreach_add_"]},
    "transformers": NEEDED,
}
"""By package, the modules and the names in each."""


@pytest.mark.parametrize("package", PARTS)
def test_what_nobody_promises_is_there_and_bounded(package: str) -> None:
    assert BOUNDED[package].specifier.contains(version(package)), "the tests run with another version"
    for module, names in PARTS[package].items():
        for name in names:
            reduce(getattr, name.split("."), import_module(module))


def test_only_packages_with_such_parts_are_bounded() -> None:
    assert set(BOUNDED) == set(PARTS)
    assert BOUNDED["transformers"].specifier.contains(f"{TESTED[-1]}.9")


def test_extras_have_the_same_bounds() -> None:
    for extra in PROJECT["optional-dependencies"].values():
        for found in map(Requirement, extra):
            if found.name in BOUNDED:
                assert found.specifier == BOUNDED[found.name].specifier


def test_every_private_module_that_is_imported_is_known() -> None:
    known = {module for modules in PARTS.values() for module in modules}
    for path in ALL_FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level == 0 and "._" in str(node.module):
                names = {f"{node.module}.{alias.name}" for alias in node.names}
                assert names <= known, f"{name_of(path)}, line {node.lineno}"
