from collections.abc import Iterator
from pathlib import Path

import pytest

from openmic.core.errors import ConfigError
from openmic.graph.preflight_cluster import check_cluster, check_shared
from openmic.store import Store
from openmic.training.local_ray import ray_session

from ..postgresql import Server
from .conftest import config_of, run_row


def all_see(_: Path) -> list[str]:
    return []


def no_one_looks(_: Path) -> list[str]:
    raise AssertionError("nobody needs to look")


@pytest.fixture
def on_server(server: Server) -> Iterator[Store]:
    server.sql("DROP DATABASE IF EXISTS shared WITH (FORCE)")
    server.sql("CREATE DATABASE shared")
    with Store.open(server.url("shared")) as opened:
        yield opened


def test_one_node_has_everything_to_itself(store: Store, tmp_path: Path) -> None:
    check_shared(store, str(tmp_path), 1, no_one_looks)


def test_a_store_in_a_file_is_refused_on_several_nodes(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"3 nodes.*file on one of them.*postgresql://"):
        check_shared(store, str(tmp_path), 3, all_see)


def test_a_folder_is_refused_where_a_node_does_not_see_it(on_server: Store, tmp_path: Path) -> None:
    seen: list[str] = []

    def one_is_blind(file: Path) -> list[str]:
        seen.append(file.read_text())
        assert file.parent == tmp_path / "adapters"
        return ["10.0.0.7"]

    with pytest.raises(ConfigError, match=r"adapters.*10\.0\.0\.7 cannot see.*storage_uri.*s3://"):
        check_shared(on_server, str(tmp_path / "adapters"), 2, one_is_blind)
    assert seen == [""]
    assert list((tmp_path / "adapters").iterdir()) == []


def test_what_all_nodes_reach_passes(on_server: Store, tmp_path: Path) -> None:
    check_shared(on_server, f"file://{tmp_path}", 3, all_see)
    check_shared(on_server, "s3://bucket/openmic", 3, no_one_looks)


def test_a_session_on_this_machine_passes(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    config = config_of()
    with ray_session():
        check_cluster(config, store, run_row(config, tmp_path))
        from openmic.graph.preflight_cluster import _nodes_that_miss

        (tmp_path / "there").touch()
        assert _nodes_that_miss(tmp_path / "there") == []
        assert len(_nodes_that_miss(tmp_path / "not there")) == 1
        assert len(_nodes_that_miss(tmp_path / "no folder" / "not there")) == 1
