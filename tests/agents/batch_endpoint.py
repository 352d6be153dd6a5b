"""A small endpoint with batches, by OpenAI's documented calls, that carries them out as a test's script says."""

import json
import random
import time
from collections.abc import Callable
from typing import Any

from .scripted_endpoint import Answer, Asked, ScriptedEndpoint


class BatchEndpoint(ScriptedEndpoint):
    """Answers the requests of a batch as `chat` says, in no order, once it was looked at as often as `looks` says."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 2
        self.ends_as: Callable[[int], str] = lambda batch: "completed"
        """How the batch of that number ends."""
        self.reaches: Callable[[int, int], bool] = lambda batch, request: True
        """Whether the batch of that number comes to its request of that number."""
        self.in_batch: Callable[[Asked], Answer] | None = None
        """Answers requests within batches, where not as others."""
        self.before_begun: Callable[[int], Answer | None] = lambda number: None
        self.after_begun: Callable[[int], Answer | None] = lambda number: None
        """What is answered to a call to begin a batch in place of the batch, before or after it is begun."""
        self.instead: Callable[[str, str], Answer | None] = lambda method, path: None
        """What is answered to a call about files or batches in place of all else, by its method and path."""
        self.told_as: Callable[[dict[str, Any]], Any] = lambda told: told
        """What stands in a batch's file in place of what is told there of one request."""
        self.shown_as: Callable[[dict[str, Any]], Any] = lambda batch: batch
        """How a batch is shown, in place of what it is."""
        self.errors: list[dict[str, str]] = []
        self.files: dict[str, list[bytes]] = {}
        self.batches: list[dict[str, Any]] = []
        self._looked: dict[str, int] = {}
        self._calls = 0

    def asked_singly(self) -> list[dict[str, Any]]:
        return [asked.body for asked in self.asked if asked.path.endswith("/chat/completions")]

    def requests(self, batch: int) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.files[self.batches[batch]["input_file_id"]]]

    def _answer(self, asked: Asked) -> Answer:
        path = asked.path.partition("?")[0].removeprefix("/v1")
        if not path.startswith(("/files", "/batches")):
            return super()._answer(asked)
        with self._lock:
            self.asked.append(asked)
            if (instead := self.instead(asked.method, path)) is not None:
                return instead
            if path == "/files" and asked.method == "POST":
                return self._upload(asked)
            if path.startswith("/files"):
                return self._file(*path.split("/")[2:])
            if path == "/batches" and asked.method == "POST":
                return self._begin(asked.body)
            if path == "/batches":
                newest = [self.shown_as(batch) for batch in reversed(self.batches)]
                return Answer(body={"object": "list", "data": newest, "has_more": False})
            return self._look(path.split("/")[2])

    def _upload(self, asked: Asked) -> Answer:
        sent: bytes = asked.body["sent"]
        name = f"file-{len(self.files)}"
        self.files[name] = [line.strip() + b"\n" for line in sent.splitlines() if line.startswith(b"{")]
        return Answer(body={"id": name, "object": "file", "bytes": len(sent), "created_at": 0, "purpose": "batch"})

    def _file(self, name: str = "", content: str = "") -> Answer:
        if not name:
            return Answer(body={"object": "list", "data": [{"id": name} for name in self.files], "has_more": False})
        if name not in self.files:
            return Answer(404, {"error": {"message": f"No such File object: {name}", "code": None}})
        if content:
            return Answer(body=b"".join(self.files[name]), headers={"content-type": "text/plain"})
        return Answer(body={"id": name, "object": "file", "status": "processed"})

    def _begin(self, body: dict[str, Any]) -> Answer:
        self._calls += 1
        if (instead := self.before_begun(self._calls - 1)) is not None:
            return instead
        batch = body | {"id": f"batch_{len(self.batches)}", "object": "batch", "created_at": int(time.time())}
        self.batches.append(batch | {"status": "validating", "output_file_id": None, "error_file_id": None})
        return self.after_begun(self._calls - 1) or Answer(body=self.shown_as(self.batches[-1]))

    def _look(self, identity: str) -> Answer:
        number = next((n for n, batch in enumerate(self.batches) if batch["id"] == identity), None)
        if number is None:
            return Answer(404, {"error": {"message": f"No such batch: {identity}", "code": None}})
        batch, self._looked[identity] = self.batches[number], self._looked.get(identity, 0) + 1
        if self._looked[identity] > self.looks and batch["status"] in {"validating", "in_progress"}:
            self._end(number)
        elif self._looked[identity] > 1 and batch["status"] == "validating":
            batch |= {"status": "in_progress"}
        lines = len(self.requests(number))
        counted = {"request_counts": {"total": lines, "completed": 0, "failed": 0}}
        return Answer(body=self.shown_as(batch | counted))

    def _end(self, number: int) -> None:
        batch = self.batches[number]
        batch |= {"status": self.ends_as(number)}
        if batch["status"] == "failed":
            batch |= {"errors": {"object": "list", "data": self.errors}}
            return
        done, failed = list[bytes](), list[bytes]()
        for place, line in enumerate(self.requests(number)):
            told: dict[str, Any] = {"id": f"r-{place}", "custom_id": line["custom_id"], "response": None, "error": None}
            if not self.reaches(number, place):
                told["error"] = {"code": "batch_expired", "message": "This request could not be executed in time."}
            else:
                asked = Asked(line["method"], line["url"], line["body"], {}, time.monotonic())
                answer = self.in_batch(asked) if self.in_batch is not None else self.chat(asked, place)
                told["response"] = {"status_code": answer.status, "request_id": "x", "body": answer.body}
            well = told["response"] is not None and told["response"]["status_code"] == 200
            (done if well else failed).append(json.dumps(self.told_as(told)).encode() + b"\n")
        random.Random(7).shuffle(done)
        for name, lines in (("output", done), ("error", failed)):
            if lines:
                self.files[f"{name}-{number}"] = lines
                batch[f"{name}_file_id"] = f"{name}-{number}"
