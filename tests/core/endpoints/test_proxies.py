"""Which proxy an address is reached through, in environments as people have them."""

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2
import pytest

from openmic.core.endpoints.proxies import connecting, is_this_machine, proxy_of
from openmic.core.errors import ConfigError

HTTP = "http://127.0.0.1:7890"
SOCKS = "socks5://127.0.0.1:7891"
OUTSIDE = "https://api.example.org/v1"


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "LOCALHOST", "::1", "[::1]", "127.8.9.1", "a.localhost", "0.0.0.0", "::ffff:127.0.0.1"],
)
def test_these_are_this_machine(host: str) -> None:
    assert is_this_machine(host)


@pytest.mark.parametrize("host", ["", "10.0.0.1", "localhost.example.org", "gpu-1", "::2", "1270.0.1"])
def test_these_are_not(host: str) -> None:
    assert not is_this_machine(host)


@pytest.mark.parametrize(
    ("environment", "url", "proxy"),
    [
        ({}, OUTSIDE, None),
        ({"HTTPS_PROXY": HTTP}, OUTSIDE, HTTP),
        ({"HTTPS_PROXY": HTTP}, "http://[bad/v1", None),
        ({"https_proxy": HTTP}, OUTSIDE, HTTP),
        ({"HTTP_PROXY": HTTP}, OUTSIDE, None),
        ({"ALL_PROXY": HTTP}, OUTSIDE, HTTP),
        ({"HTTPS_PROXY": "127.0.0.1:7890"}, OUTSIDE, HTTP),
        ({"HTTPS_PROXY": HTTP, "ALL_PROXY": SOCKS}, OUTSIDE, HTTP),
        ({"HTTPS_PROXY": "", "ALL_PROXY": HTTP}, OUTSIDE, HTTP),
        *(
            ({"ALL_PROXY": proxy, "HTTP_PROXY": proxy}, url, None)
            for proxy in (HTTP, SOCKS, "socks://127.0.0.1:7891", "nonsense://x")
            for url in ("http://127.0.0.1:8000/v1", "http://localhost:8000/v1", "http://[::1]:8000", "http://127.0.0.2")
        ),
        *(
            ({"ALL_PROXY": SOCKS, "NO_PROXY": no}, "http://10.1.2.3:8000/v1", None)
            for no in ("10.1.2.3", "10.0.0.0/8", "fe80::/10, 10.1.0.0/16", "*", "localhost,10.1.2.3")
        ),
        *(
            ({"ALL_PROXY": HTTP, "NO_PROXY": no}, "http://gpu.cluster.example/v1", None)
            for no in ("example", ".cluster.example", "cluster.example", "gpu.cluster.example")
        ),
        ({"ALL_PROXY": HTTP, "NO_PROXY": "10.0.0.0/8,other.example,,"}, "http://gpu.cluster.example/v1", HTTP),
    ],
)
def test_the_right_proxy_is_taken_or_none(
    environment: dict[str, str], url: str, proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxy_of(url) == proxy
    httpx2.Client(**connecting(url)).close()


@pytest.mark.parametrize(
    ("proxy", "said"),
    [
        (SOCKS, "SOCKS proxies need a package that is missing: `pip install socksio`"),
        ("socks5h://me:s3cret@10.0.0.1:1080", "ALL_PROXY names 'socks5h://10.0.0.1:1080'"),
        ("socks://10.0.0.1:1080", "`pip install socksio`"),
        ("ftp://10.0.0.1", "a kind of proxy that is not known; give http:// or socks5://"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_one_line(proxy: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(ConfigError) as caught:
        connecting(OUTSIDE)
    message = str(caught.value)
    assert said in message
    assert "put api.example.org into NO_PROXY" in message
    assert "s3cret" not in message
    assert "\n" not in message


class Proxy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = f"proxied {self.path}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def proxy() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_what_is_outside_goes_through_the_proxy_and_loopback_does_not(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy)
    monkeypatch.setenv("ALL_PROXY", SOCKS)
    with httpx2.Client(**connecting("http://outside.example")) as client:
        assert client.get("http://outside.example/x").text == "proxied http://outside.example/x"
    with httpx2.Client(**connecting(proxy)) as client:
        assert client.get(f"{proxy}/x").text == "proxied /x"
