"""A run that a wrong key stops in every stage, mended and resumed, comes to what an undisturbed run comes to."""

import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.types import Message, Receive, Scope, Send

from openmic.core.endpoints.listening import bind
from openmic.core.endpoints.secrets import without
from openmic.simulator import SimulatorSettings
from openmic.simulator.app import build_app
from openmic.store import Dialogue, Store

from .kills.promises import facts_of
from .kills.trial import SMALL
from .whole_run import WholeRun, openmic_here, resume_command, write_config

KEY = "sk-planted-0123456789+/x"
ASKED = {
    ("teacher", "demonstrate"),
    ("teacher", "collect"),
    ("critic", "collect"),
    ("critic", "evaluate"),
    ("judge", "evaluate"),
}
"""Who is asked in which stage."""


class Refusing:
    """The simulated cast, which refuses the key of whoever asks with some seeds, and quotes it."""

    def __init__(self) -> None:
        self.app = build_app(SimulatorSettings(seed=7, api_key=KEY))
        self.refused: dict[int, int] = {}
        """How often it still answers whoever asks with a seed; others are always answered, as short questions are."""
        self.filtered: dict[int, int] = {}
        """Which further request with a seed a content filter turns away."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        body, more = b"", True
        while more:
            part = await receive()
            body, more = body + part.get("body", b""), part.get("more_body", False)
        seed = json.loads(body).get("seed")
        if counted(self.filtered, seed) == 0:
            said = json.dumps({"error": {"message": "filtered", "code": "content_filter"}})
            await send({"type": "http.response.start", "status": 400, "headers": []})
            await send({"type": "http.response.body", "body": said.encode()})
            return
        if counted(self.refused, seed) < 0:
            said = json.dumps({"error": {"message": f"Incorrect API key: {KEY}", "code": "invalid_api_key"}})
            await send({"type": "http.response.start", "status": 401, "headers": [(b"x-key", KEY.encode())]})
            await send({"type": "http.response.body", "body": said.encode()})
            return
        given: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Message:
            return given.pop() if given else await receive()

        await self.app(scope, again, send)


def counted(left: dict[int, int], seed: int) -> int:
    """How many are left of a seed after this one; many where it is none of those."""
    if seed not in left:
        return 10**6
    left[seed] -= 1
    return left[seed]


@pytest.fixture
def refusing() -> Iterator[tuple[Refusing, str]]:
    cast, listener = Refusing(), bind("127.0.0.1", 0, "the test")
    server = uvicorn.Server(
        uvicorn.Config(cast, log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.005)
    yield cast, f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    server.should_exit = True
    thread.join(60)


def left_behind(folder: Path) -> list[str]:
    """Files in which the key stands, byte by byte."""
    texts = ((path, path.read_bytes().decode("latin-1")) for path in folder.rglob("*") if path.is_file())
    return [str(path) for path, text in texts if without(text, {KEY}) != text]


def seeds_by_stage(path: str) -> dict[tuple[str, str], set[int]]:
    """Of each role in each stage the seeds that a run asked with, in the order in which they were first asked."""
    seeds: dict[tuple[str, str], set[int]] = {}
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        rows = connection.execute(
            "select call.role, dialogue.stage, json_extract(call.request, '$.seed') from turn"
            " join llm_call as call on call.run_id = turn.run_id and call.key = turn.request_key"
            " join dialogue on dialogue.id = turn.dialogue_id order by call.created_at"
        )
        for role, stage, seed in rows:
            seeds.setdefault((role, stage), set()).add(seed)
    return seeds


@pytest.mark.slow
def test_a_run_that_a_wrong_key_stops_in_every_stage_comes_to_what_an_undisturbed_one_comes_to(
    tmp_path: Path, tiny_causal: Path, ray_running: None, refusing: tuple[Refusing, str]
) -> None:
    from ray._private.worker import _global_node

    cast, url = refusing
    roles = {role: {"model": f"sim-{role}", "base_url": url} for role in ("teacher", "critic", "judge")}
    evaluation = {**SMALL["evaluation"], "critic": True}
    playing: dict[str, Any] = {role: {**one, "patience_s": 0.6} for role, one in roles.items()}

    def begin(name: str, *command: str) -> WholeRun:
        folder = tmp_path / name
        config = write_config(folder, tiny_causal, cast=playing, **SMALL | {"evaluation": evaluation})
        done = openmic_here(*(command or ("run", str(config))), "--json", cwd=folder, OPENAI_API_KEY=KEY)
        return WholeRun(folder, done.returncode, done.stdout, done.stderr, 0.0)

    undisturbed = begin("undisturbed")
    assert undisturbed.code == 0, undisturbed.stderr
    asked = seeds_by_stage(undisturbed.store)
    assert asked.keys() == ASKED
    command: list[str] = []
    said = undisturbed.stdout + undisturbed.stderr
    for (_, stage), seeds in asked.items():
        cast.refused = dict.fromkeys(seeds, 1)
        run = begin("disturbed", *command)
        assert run.code == 1, run.stderr
        assert "Incorrect API key: …" in run.stderr
        assert "Traceback" not in run.stderr
        with Store.open_readonly(run.store) as store:
            assert store.count(Dialogue, status="failed") == 0
            assert store.count(Dialogue, stage=stage, status="pending") > 0
        command, said = resume_command(run.stderr), said + run.stdout + run.stderr
    # One answer of the judge's is filtered: its item fails, and is held again on request.
    cast.refused, cast.filtered = {}, {max(asked["judge", "evaluate"]): 1}
    run = begin("disturbed", *command)
    assert run.code == 3, run.stderr
    assert run.status["stages"]["evaluate"]["failed"] == run.status["failed"] == 1
    run = begin("disturbed", *command, "--retry-failed")
    assert run.code == 0, run.stderr
    assert "1 failed items were held again; 0 items are failed now" in run.stderr
    assert facts_of(run) == facts_of(undisturbed)
    assert run.status["gain"] == undisturbed.status["gain"]
    assert without(said + run.stdout + run.stderr, {KEY}) == said + run.stdout + run.stderr
    for kind in ("transcript", "preference"):
        done = openmic_here("transcripts", "export", "latest", f"{kind}.jsonl", "--format", kind, cwd=run.folder)
        assert done.returncode == 0, done.stderr
    assert left_behind(tmp_path) == []
    node: Any = _global_node
    assert left_behind(Path(node.get_session_dir_path()) / "logs") == []
