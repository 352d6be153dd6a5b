"""The pages that are made from the code are those that it makes now, and every key has a description."""

import tomllib
from collections.abc import Iterator
from typing import Literal

import pytest
from pydantic import BaseModel, Field

from .blocks import ROOT
from .reference import TITLES, bounds, kind, pages, section_of


def keys(model: type[BaseModel], path: str = "") -> Iterator[tuple[str, str | None]]:
    for name, field in model.model_fields.items():
        yield f"{path}{name}", field.description
        inner = section_of(field.annotation)
        if inner is not None:
            yield from keys(inner, f"{path}{name}.")


@pytest.mark.parametrize("model", TITLES, ids=lambda model: model.__name__)
def test_every_key_has_a_description(model: type[BaseModel]) -> None:
    assert [key for key, said in keys(model) if not said] == []


def test_the_pages_made_from_the_code_are_current() -> None:
    stale = [page.name for page, made in pages().items() if page.read_text(encoding="utf-8") != made]
    assert stale == [], "write them anew: make reference"


def stands(key: str, page: str) -> bool:
    """Whether a page has a row for a key, or says that it, or the section it is in, is as under another."""
    section, _, name = key.rpartition(".")
    alike = [
        line for line in page.partition(f"\n## {section}\n")[2].partition("\n## ")[0].splitlines() if line[:2] == "As"
    ]
    return (
        f"| `{key}` |" in page
        or any(f"`{name}`" in line for line in alike)
        or (bool(section) and stands(section, page))
    )


def test_every_key_stands_on_its_page() -> None:
    made = pages().values()
    for model, (title, _) in TITLES.items():
        [text] = [text for text in made if text.startswith(f"# {title}\n")]
        leaves = [key for key, _ in keys(model) if "." in key]
        assert [key for key in leaves if not stands(key, text)] == []


def test_types_and_bounds_are_told_in_the_words_of_yaml() -> None:
    class Shown(BaseModel):
        share: float | None = Field(default=None, gt=0, le=1)
        names: tuple[str, ...] = Field(default=(), max_length=3)
        how: Literal["a", "b"] = "a"

    told = {name: (kind(field.annotation), bounds(field)) for name, field in Shown.model_fields.items()}
    assert told == {
        "share": ("float or null", "> 0, ≤ 1"),
        "names": ("list of text", "at most 3 long"),
        "how": ("`a` or `b`", ""),
    }


def test_the_site_leads_to_every_page() -> None:
    def named(nav: object) -> Iterator[str]:
        if isinstance(nav, str):
            yield nav
        elif isinstance(nav, dict):
            yield from named(list(nav.values()))
        elif isinstance(nav, list):
            for item in nav:
                yield from named(item)

    nav = list(named(tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]["nav"]))
    assert sorted(nav) == sorted(str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md"))
