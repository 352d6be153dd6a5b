"""A hub on this machine that takes uploads, by the calls that huggingface_hub makes: no more than it needs for them."""

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

TOKEN = "hf_right"
DATE = "2026-01-01T00:00:00.000Z"


@dataclass
class Hub:
    """What was uploaded."""

    address: str = ""
    private: dict[str, bool] = field(default_factory=dict)
    """By repository."""
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """By repository and path."""
    commits: list[dict[str, Any]] = field(default_factory=list)
    """The newest first, of all repositories."""
    objects: dict[str, bytes] = field(default_factory=dict)
    """Large files by their SHA-256."""
    asked: list[str] = field(default_factory=list)


@contextmanager
def taking_uploads() -> Iterator[Hub]:
    """A hub that knows nobody but who has `TOKEN`, called `me`, who may write under that name."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer()

        def do_HEAD(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def do_PUT(self) -> None:
            self._answer()

        def log_message(self, *_: object) -> None:
            hub.asked.append(f"{self.command} {self.path.partition('?')[0]}")

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = self.path.partition("?")[0]
            if self.command == "PUT":
                hub.objects[path.rpartition("/")[2]] = body
                self._end(200, {})
            elif path == "/":
                self._end(200, {})
            elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
                self._end(401, {"error": "Invalid credentials in Authorization header"})
            elif path == "/api/whoami-v2":
                self._end(200, {"name": "me", "type": "user"})
            elif path == "/api/repos/create":
                self._create(json.loads(body))
            elif path == "/api/validate-yaml":  # of a card
                self._end(200, {"errors": [], "warnings": []})
            elif path.endswith(".git/info/lfs/objects/batch"):
                self._batch(json.loads(body))
            else:
                self._of_repository(path.removeprefix("/api/models/"), body)

        def _create(self, wanted: dict[str, Any]) -> None:
            owner, name = wanted.get("organization") or "me", wanted["name"]
            repo = f"{owner}/{name}"
            if owner != "me":
                self._end(403, {"error": f"You don't have the rights to create a model under the namespace {owner!r}"})
            elif repo in hub.private:
                self._end(409, {"error": "You already created this model repo", "url": f"{hub.address}/{repo}"})
            else:
                hub.private[repo] = bool(wanted.get("private") or wanted.get("visibility") == "private")
                hub.files[repo] = {}
                self._end(200, {"url": f"{hub.address}/{repo}", "name": repo, "id": repo})

        def _batch(self, wanted: dict[str, Any]) -> None:
            objects = [
                {**one, "actions": {"upload": {"href": f"{hub.address}/objects/{one['oid']}", "header": {}}}}
                for one in wanted["objects"]
            ]
            self._end(200, {"transfer": "basic", "objects": objects})

        def _of_repository(self, path: str, body: bytes) -> None:
            repo, rest = "/".join(path.split("/")[:2]), "/".join(path.split("/")[2:])
            if repo not in hub.private:
                self._end(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
            elif rest.startswith("preupload/"):
                large = [one["path"].endswith((".safetensors", ".gguf")) for one in json.loads(body)["files"]]
                files = [
                    {"path": one["path"], "uploadMode": "lfs" if is_large else "regular", "shouldIgnore": False}
                    for one, is_large in zip(json.loads(body)["files"], large, strict=True)
                ]
                self._end(200, {"files": files})
            elif rest.startswith("commit/"):
                self._commit(repo, body)
            elif rest == "commits/main":
                self._end(200, [commit for commit in hub.commits if commit["repo"] == repo])
            elif rest == "tree/main":
                found = hub.files[repo].items()
                self._end(200, [{"type": "file", "path": p, "size": len(d), "oid": "0"} for p, d in found])
            else:
                self._end(200, {"id": repo, "sha": "0" * 40, "private": hub.private[repo], "siblings": []})

        def _commit(self, repo: str, body: bytes) -> None:
            commit = hashlib.sha1(body).hexdigest()
            for line in body.splitlines():
                step = json.loads(line)
                value = step["value"]
                if step["key"] == "header":
                    said = {"title": value["summary"], "message": value["description"]}
                    hub.commits.insert(0, {"id": commit, "repo": repo, "authors": [], "date": DATE, **said})
                elif step["key"] == "file":
                    hub.files[repo][value["path"]] = base64.b64decode(value["content"])
                elif step["key"] == "lfsFile":
                    hub.files[repo][value["path"]] = hub.objects[value["oid"]]
                elif step["key"] == "deletedFile":
                    del hub.files[repo][value["path"]]
            self._end(200, {"commitOid": commit, "commitUrl": f"{hub.address}/{repo}/commit/{commit}", "success": True})

        def _end(self, status: int, said: Any, headers: dict[str, str] | None = None) -> None:
            data = json.dumps(said).encode()
            self.send_response(status)
            for key, value in {"Content-Type": "application/json", **(headers or {})}.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hub.address = f"http://127.0.0.1:{server.server_address[1]}"
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield hub
        finally:
            server.shutdown()
