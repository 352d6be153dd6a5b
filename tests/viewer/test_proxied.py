"""The pages behind a proxy: under its name, under a path of its own, which it takes off or not."""

import re
from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from openmic.core.errors import ConfigError
from openmic.store import Store
from openmic.viewer.app import PAGES, create_app
from openmic.viewer.serving import serve

ROOT = "/team/openmic"
OUTSIDE = "https://research.example.org"
LINK = re.compile(r'(?:href|src|action|hx-get|hx-post)="(/[^"]*)"')


@pytest.fixture
def proxied(store: Store) -> Iterator[TestClient]:
    """What a browser has of the pages through a proxy that leaves host and path as they are."""
    app = create_app(store.address, proxied_as=["research.example.org", "other.example:8443"], root_path=ROOT)
    with TestClient(app, base_url=OUTSIDE, follow_redirects=False, headers={"Origin": OUTSIDE}) as client:
        yield client


def addresses(text: str) -> set[str]:
    return {match.replace("&amp;", "&") for match in LINK.findall(text)}


def test_every_link_leads_back_under_the_path(proxied: TestClient) -> None:
    waiting, seen = {f"{ROOT}/"}, set[str]()
    while waiting:
        address = waiting.pop()
        seen.add(address)
        answer = proxied.get(address)
        while answer.status_code == 303:
            answer = proxied.get(answer.headers["location"])
        assert answer.status_code in {200, 204, 405}, address
        if answer.headers.get("content-type", "").startswith("text/html"):
            found = {link.partition("#")[0] for link in addresses(answer.text)}
            assert found
            assert {link for link in found if not link.startswith(f"{ROOT}/")} == set(), address
            waiting |= {link for link in found if link not in seen and "/export/download" not in link}
    assert len(seen) > 20


def test_a_proxy_may_take_the_path_off(proxied: TestClient) -> None:
    assert proxied.get("/dialogues/d1").text == proxied.get(f"{ROOT}/dialogues/d1").text
    assert proxied.get(ROOT).text == proxied.get("/").text
    assert proxied.get("/static/openmic.css").status_code == 200
    assert proxied.get(f"{ROOT}/dialogues/d1/").text == proxied.get("/dialogues/d1").text
    assert proxied.get(f"{ROOT}stranger/runs/RUN1").status_code == 404


def test_a_redirect_leads_back_under_the_path(proxied: TestClient) -> None:
    answer = proxied.get("/runs/RUN1/dialogues?tag=&order=-started")
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(f"{ROOT}/runs/RUN1/dialogues?")
    tagged = proxied.post(f"{ROOT}/dialogues/d1/tags", data={"tag": "good", "author": "Ann"})
    assert tagged.status_code == 303
    assert tagged.headers["location"].startswith(f"{ROOT}/dialogues/d1")


@pytest.mark.parametrize(
    "host", ["research.example.org", "RESEARCH.example.org:443", "other.example", "127.0.0.1:8190"]
)
def test_the_names_that_were_given_are_served_beside_the_machines_own(proxied: TestClient, host: str) -> None:
    assert proxied.get("/", headers={"Host": host}).status_code == 200


def test_other_names_are_refused_as_ever(proxied: TestClient) -> None:
    for host in ("evil.example", "research.example.org.evil.example", ""):
        assert proxied.get("/", headers={"Host": host}).status_code == 400


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (OUTSIDE, 303),
        ("http://research.example.org", 303),
        ("https://other.example:8443", 303),
        ("https://other.example", 403),
        ("https://research.example.org:9", 403),
        ("https://evil.example", 403),
    ],
)
def test_what_changes_something_comes_from_where_the_proxy_shows_it(
    proxied: TestClient, origin: str, status: int
) -> None:
    # A proxy that puts in a host of its own: the origin is the name outside.
    headers = {"Host": "127.0.0.1:8190", "Origin": origin}
    assert proxied.post("/dialogues/d1/tags", data={"tag": "x", "author": "A"}, headers=headers).status_code == status


def test_the_token_stays_under_the_path(store: Store) -> None:
    app = create_app(store.address, token="horse", allowed_hosts=None, root_path=ROOT)
    with TestClient(app, base_url=OUTSIDE, follow_redirects=False) as client:
        answer = client.get("/runs/RUN1?token=horse")
        assert answer.headers["location"] == f"{ROOT}/runs/RUN1"
        assert f"Path={ROOT}" in answer.headers["set-cookie"]
        assert client.get(f"{ROOT}/runs/RUN1").status_code == 200


@pytest.mark.parametrize(
    "root",
    ["openmic", "/雪", "//evil.example", "/a b", "/a/../b?", '/a"', *(f"/{page}" for page in sorted(PAGES) if page)],
)
def test_a_path_that_is_none_or_a_pages_own_is_said(store: Store, root: str) -> None:
    with pytest.raises(ConfigError, match="--root-path"):
        serve(store.address, host="127.0.0.1", port=0, root_path=root, on_ready=lambda _: None)


@pytest.mark.parametrize("name", ["https://a.example", "a.example/x", "", "a b", "*", "[12345]", "[::1::]:80"])
def test_a_name_that_is_none_is_said(store: Store, name: str) -> None:
    with pytest.raises(ConfigError, match="--allowed-host"):
        serve(store.address, host="127.0.0.1", port=0, proxied_as=[name], on_ready=lambda _: None)
