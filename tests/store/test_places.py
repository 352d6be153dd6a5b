import pytest

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


def test_what_was_moved_is_found_where_it_is() -> None:
    assert located("sqlite:////moved/openmic.db", recorded("/data/openmic.db", "/data/runs/R")) == "/moved/runs/R"
