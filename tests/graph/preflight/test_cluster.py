from pathlib import Path

import pytest

from openmic.core.errors import ConfigError
from openmic.graph.preflight.cluster import check_shared, checked_session

from ..conftest import config_of


def all_see(_: Path) -> list[str]:
    return []


def no_one_looks(_: Path) -> list[str]:
    raise AssertionError("nobody needs to look")


ON_SERVER = "postgresql://me:s3cret@db/openmic"


def test_one_node_has_everything_to_itself(tmp_path: Path) -> None:
    check_shared(str(tmp_path / "store.db"), str(tmp_path), 1, no_one_looks)


def test_a_store_in_a_file_is_refused_on_several_nodes(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"3 nodes.*file on one of them.*postgresql://"):
        check_shared(str(tmp_path / "store.db"), str(tmp_path), 3, all_see)


def test_a_folder_is_refused_where_a_node_does_not_see_it(tmp_path: Path) -> None:
    seen: list[str] = []

    def one_is_blind(file: Path) -> list[str]:
        seen.append(file.read_text())
        assert file.parent == tmp_path / "adapters"
        return ["10.0.0.7"]

    with pytest.raises(ConfigError, match=r"adapters.*10\.0\.0\.7 cannot see.*storage_uri.*s3://"):
        check_shared(ON_SERVER, str(tmp_path / "adapters"), 2, one_is_blind)
    assert seen == [""]
    assert list(tmp_path.iterdir()) == [], "what is refused leaves nothing behind"


def test_a_folder_that_is_there_stays(tmp_path: Path) -> None:
    check_shared(ON_SERVER, str(tmp_path), 2, all_see)
    assert tmp_path.is_dir()


def test_what_all_nodes_reach_passes(tmp_path: Path) -> None:
    check_shared(ON_SERVER, f"file://{tmp_path}", 3, all_see)
    check_shared(ON_SERVER, "s3://bucket/openmic", 3, no_one_looks)


@pytest.mark.slow
def test_a_session_on_this_machine_passes_unless_it_has_no_room_for_an_actor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with checked_session(config_of(), str(tmp_path / "store.db"), tmp_path):
        from openmic.graph.preflight.cluster import _nodes_that_miss

        (tmp_path / "there").touch()
        assert _nodes_that_miss(tmp_path / "there") == []
        assert len(_nodes_that_miss(tmp_path / "not there")) == 1
        assert len(_nodes_that_miss(tmp_path / "no folder" / "not there")) == 1

        elsewhere = config_of(student={"pool": {"resources": {"somewhere else": 1}}})
        refused = pytest.raises(ConfigError, match="1 CPU, 1 somewhere else")
        with refused, checked_session(elsewhere, str(tmp_path / "store.db"), tmp_path):
            raise AssertionError("it was let in")
