"""Whatever a model or a user wrote, a page is made of what its template has, and of text."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from openmic.store import Store
from openmic.viewer.app import create_app

from .conftest import HERE
from .markup import read
from .test_pages import PAGES
from .transcripts import write

HOSTILE = {
    "elements": "</title></script></textarea></pre><script>boom()</script><img src=x onerror=boom()>"
    "<svg onload=boom()>",
    "attributes": '" onmouseover="boom()" style="x" \'><a href=\'javascript:boom()\'>x</a>',
    "templates": "{{ 7*7 }} {% raw %} ${7*7} <!--[if]> ]]> --> <!-- &lt;script&gt; &#x3c;b&#x3e;",
    "unseen": "\x1b[31mred\x07 \x1b]8;;http://evil.example\x1b\\ \u202egnp.exe\u2066 \u200b\ufeff \x9b31m \r over",
}
UNSEEN = "\x1b\x07\x9b\u202e\u2066\ufeff\u200b"


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_text_gets_out_of_its_place(kind: str, tmp_path: Path) -> None:
    with Store.open(str(tmp_path / "store.db")) as store:
        write(store, lambda field: f"{field} {HOSTILE[kind]}")
    app = create_app(store.address)
    with TestClient(app, base_url=HERE) as pages:
        for path in [*PAGES, "/runs/RUN1/live", "/runs-live"]:
            answer = pages.get(path)
            assert answer.status_code == 200, path
            assert not read(answer.text).strange, path
            assert "49 {%" not in answer.text, path
            assert not set(UNSEEN) & set(answer.text), path


def test_a_text_in_an_address_gets_no_further(pages: TestClient) -> None:
    for text in HOSTILE.values():
        for path in ("/search", "/runs/RUN1/dialogues", "/dialogues/d1", "/runs/RUN1/export"):
            answer = pages.get(path, params={"q": text, "text": text, "tag": text, "stop_reason": text})
            assert answer.status_code == 200
            assert not read(answer.text).strange
        assert not read(pages.get("/runs/x", params={"q": text}).text).strange
    answer = pages.get("/runs/%3Cscript%3Eboom()%3C%2Fscript%3E")
    assert answer.status_code == 404
    assert not read(answer.text).strange
