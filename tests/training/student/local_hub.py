"""A hub of models on this machine: two revisions of one repository, served as huggingface_hub asks for them."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

REPOSITORY = "somebody/tiny"


@contextmanager
def serving(commits: dict[str, Path], names: dict[str, str]) -> Iterator[tuple[str, list[str]]]:
    """The hub's address, and the paths that it was asked for.

    Args:
        commits: The folder of each commit.
        names: The commit that each branch or tag means now; changes count at once.
    """
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def log_message(self, *_: object) -> None:
            asked.append(self.path)

        def _answer(self, *, with_body: bool) -> None:
            if self.path.startswith(about := f"/api/models/{REPOSITORY}"):
                revision = self.path.removeprefix(about).removeprefix("/revision/") or "main"
                if (commit := names.get(revision, revision)) in commits:
                    self._end(200, {}, json.dumps({"id": REPOSITORY, "sha": commit}).encode(), with_body=with_body)
                    return
                if revision not in names:
                    self._end(404, {"X-Error-Code": "EntryNotFound" if "/tree/" in revision else "RevisionNotFound"})
                    return
            _, _, rest = self.path.partition(f"/{REPOSITORY}/resolve/")
            revision, _, name = rest.partition("/")
            commit = names.get(revision, revision)
            if not rest or commit not in commits:
                self._end(404 if self.path != "/" else 200, {"X-Error-Code": "RevisionNotFound"})
                return
            file = commits[commit] / name
            if not file.is_file():
                self._end(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
                return
            data = file.read_bytes()
            etag = f'"{hashlib.sha256(data).hexdigest()}"'
            self._end(200, {"X-Repo-Commit": commit, "ETag": etag}, data, with_body=with_body)

        def _end(self, status: int, headers: dict[str, str], data: bytes = b"", *, with_body: bool = False) -> None:
            self.send_response(status)
            for key, value in (headers | {"Content-Length": str(len(data))}).items():
                self.send_header(key, value)
            self.end_headers()
            if with_body:
                self.wfile.write(data)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", asked
        finally:
            server.shutdown()
