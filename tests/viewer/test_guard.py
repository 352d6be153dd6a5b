from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from openmic.core.endpoints.listening import LOOPBACK
from openmic.store import Store
from openmic.viewer.app import create_app

TOKEN = "correct-horse"
TAG = {"tag": "good", "author": "Ann"}


@pytest.fixture
def closed(store: Store) -> Iterator[TestClient]:
    """The pages as they are served to other machines."""
    app = create_app(store.address, token=TOKEN, allowed_hosts=None)
    with TestClient(app, base_url="http://box.example", follow_redirects=False) as client:
        yield client


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8190", "localhost:1", "LOCALHOST", "[::1]:8190", "[::1]"])
def test_the_machines_own_names_are_served(pages: TestClient, host: str) -> None:
    assert pages.get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8190", "", "[::1", "evil@127.0.0.2", "::1"],
)
@pytest.mark.parametrize("path", ["/", "/static/openmic.css", "/nothing"])
def test_any_other_name_is_refused_so_that_no_site_can_point_here(pages: TestClient, host: str, path: str) -> None:
    answer = pages.get(path, headers={"Host": host})
    assert answer.status_code == 400
    assert "first" not in answer.text


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:9", "https://localhost", ""])
def test_what_changes_something_must_come_from_a_page_of_this_server(
    pages: TestClient, store: Store, origin: str
) -> None:
    before = pages.get("/dialogues/d1").text
    assert pages.post("/dialogues/d1/tags", data=TAG, headers={"Origin": origin}).status_code == 403
    assert pages.get("/dialogues/d1").text == before


def test_a_request_without_an_origin_changes_nothing(pages: TestClient) -> None:
    del pages.headers["Origin"]
    assert pages.post("/dialogues/d1/tags", data=TAG).status_code == 403


@pytest.mark.parametrize("path", ["/", "/runs/RUN1", "/static/openmic.css", "/nothing", "/runs/zzz", "/turns/t0/text"])
def test_every_answer_forbids_scripts_and_styles_of_others_and_being_framed(pages: TestClient, path: str) -> None:
    headers = pages.get(path).headers
    policy = {rule.split()[0]: rule.split()[1:] for rule in headers["content-security-policy"].split("; ")}
    assert policy == {
        "default-src": ["'self'"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
        "form-action": ["'self'"],
    }
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"


def test_a_refusal_has_the_headers_too(pages: TestClient) -> None:
    assert "content-security-policy" in pages.get("/", headers={"Host": "evil.example"}).headers


@pytest.mark.parametrize(
    "path", ["/", "/runs/RUN1", "/static/openmic.css", "/turns/t0/text", "/?token=", "/?token=wrong"]
)
def test_without_the_token_nothing_is_shown(closed: TestClient, path: str) -> None:
    answer = closed.get(path)
    assert answer.status_code == 403
    assert TOKEN not in answer.text
    assert not answer.cookies


def test_the_token_is_taken_once_from_the_address_and_then_from_a_cookie(closed: TestClient) -> None:
    answer = closed.get(f"/runs/RUN1?token={TOKEN}&x=1")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/runs/RUN1?x=1"
    kept = answer.headers["set-cookie"]
    assert "HttpOnly" in kept
    assert "SameSite=strict" in kept
    assert closed.get("/runs/RUN1").status_code == 200


def test_with_the_token_a_change_must_still_come_from_here(closed: TestClient) -> None:
    closed.get(f"/?token={TOKEN}")
    assert closed.post("/dialogues/d1/tags", data=TAG, headers={"Origin": "http://evil.example"}).status_code == 403
    assert closed.post("/dialogues/d1/tags", data=TAG, headers={"Origin": "http://box.example"}).status_code == 303


def test_the_token_sends_nobody_to_another_server(closed: TestClient) -> None:
    assert closed.get(f"http://box.example//evil.example/?token={TOKEN}").headers["location"] == "/evil.example/"


def test_any_name_is_allowed_with_a_token_only(store: Store) -> None:
    app = create_app(store.address, allowed_hosts=None)
    with pytest.raises(ValueError, match="only with a token"), TestClient(app):
        pass
    app.state.site.close()


def test_a_store_that_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="no store at"):
        create_app(str(tmp_path / "none.db"), allowed_hosts=LOOPBACK)
