import pytest

from openmic.core.errors import StoreFaultError
from openmic.store.places import located, recorded


@pytest.mark.parametrize(
    ("url", "path", "place"),
    [
        ("/data/openmic.db", "/data/runs/R", "runs/R"),
        ("/data/openmic.db", "/data", "."),
        ("/data/openmic.db", "/database/runs/R", "/database/runs/R"),
        ("/data/openmic.db", "s3://bucket/R/adapters/v000001", "s3://bucket/R/adapters/v000001"),
        ("postgresql://me@db/openmic", "/data/runs/R", "/data/runs/R"),
    ],
)
def test_a_place_beneath_a_file_is_found_from_it(url: str, path: str, place: str) -> None:
    assert recorded(url, path) == place
    assert located(url, place) == path


@pytest.mark.parametrize("place", ["../precious", "runs/../../x", ".."])
def test_a_place_that_leaves_the_folder_is_none_of_openmics(place: str) -> None:
    with pytest.raises(StoreFaultError, match="where openmic puts nothing"):
        located("/data/openmic.db", place)


def test_what_was_moved_is_found_where_it_is() -> None:
    assert located("sqlite:////moved/openmic.db", recorded("/data/openmic.db", "/data/runs/R")) == "/moved/runs/R"
