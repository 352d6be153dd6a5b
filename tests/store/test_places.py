from pathlib import Path

import pytest

from openmic.core.errors import StoreFaultError
from openmic.store.places import claim, is_same, located, owner, recorded


@pytest.mark.parametrize(
    ("url", "path", "place"),
    [
        ("/data/openmic.db", "/data/runs/R", "runs/R"),
        ("/data/openmic.db", "/data", "."),
        ("/data/openmic.db", "/database/runs/R", "/database/runs/R"),
        ("/data/openmic.db", "s3://bucket/R/adapters/v000001", "s3://bucket/R/adapters/v000001"),
        ("postgresql://me@db/openmic", "/data/runs/R", "/data/runs/R"),
        ("/data/openmic.db", "/elsewhere/runs/R", "/elsewhere/runs/R"),
    ],
)
def test_a_place_beneath_a_file_is_found_from_it(url: str, path: str, place: str) -> None:
    assert recorded(url, path) == place
    assert located(url, place) == path


def test_a_home_is_taken_for_what_it_is_however_it_is_spelled(tmp_path: Path) -> None:
    assert recorded("/data/openmic.db", "/work/../data/runs/R") == "runs/R"
    assert located("/data/openmic.db", "/work/../elsewhere/R") == "/work/../elsewhere/R"
    for folder in ("data", "other"):
        (tmp_path / folder).mkdir()
    (tmp_path / "data" / "openmic.db").touch()
    (tmp_path / "other" / "name.db").hardlink_to(tmp_path / "data" / "openmic.db")
    claim(str(tmp_path / "data" / "openmic.db"), tmp_path / "data")
    assert is_same(str(tmp_path / "other" / "name.db"), owner(tmp_path / "data") or "")


@pytest.mark.parametrize("place", ["../precious", "runs/../../x", ".."])
def test_a_place_that_leaves_the_folder_is_none_of_openmics(place: str) -> None:
    with pytest.raises(StoreFaultError, match="where openmic puts nothing"):
        located("/data/openmic.db", place)


def test_what_was_moved_is_found_where_it_is() -> None:
    assert located("sqlite:////moved/openmic.db", recorded("/data/openmic.db", "/data/runs/R")) == "/moved/runs/R"
