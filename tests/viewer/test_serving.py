import socket

import pytest

from openmic.core.endpoints.listening import is_loopback
from openmic.core.errors import ConfigError
from openmic.store import Store
from openmic.viewer.serving import serve


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_these_are_reached_from_this_machine_alone(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "localhost.evil.example", "box"])
def test_these_are_not(host: str) -> None:
    assert not is_loopback(host)


def test_a_port_that_is_taken_is_said(store: Store) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1 port {port}.*--port"):
            serve(store.address, host="127.0.0.1", port=port, on_ready=lambda _: None)
