"""The engine `vllm` without vLLM: what is said where it is not there, does not start, or cannot be meant."""

import asyncio
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from openmic.core.config import InputSettings, RunConfig
from openmic.core.errors import (
    ConfigError,
    MemoryFullError,
    StudentChangedError,
    StudentError,
    StudentLostError,
    UnansweredError,
)
from openmic.core.student_settings import StudentSettings
from openmic.training.engines.choose import engine_name, make_engine
from openmic.training.engines.vllm import engine as vllm_engine
from openmic.training.engines.vllm.server import VLLMServer
from openmic.training.student.fingerprint import KnownFiles, student_files

from ..factories import request


def program(path: Path, version: str, serve: str) -> Path:
    """An interpreter as far as it is asked: it says vLLM's version, and serves as told."""
    lines = ["#!/bin/sh", 'case "$1" in', f"-c) echo {version};;", f"-m) {serve};;", "esac"]
    path.write_text("\n".join(lines) + "\n")
    path.chmod(0o755)
    return path


def settings(folder: Path, **vllm: Any) -> StudentSettings:
    values = {"model": str(folder), "engine": "vllm", "device": "cpu", "max_batch": 5, "vllm": vllm}
    return StudentSettings.model_validate(values)


def test_where_it_is_not_installed_one_line_says_how(tiny_causal: Path, tmp_path: Path) -> None:
    for python, why in (
        (
            None,
            r"vLLM is not installed in the environment of .*; install it into one of its own \(.*pip install vllm\)",
        ),
        (sys.executable, "vLLM is not installed in the environment of"),
        (tmp_path / "nothing", "student.vllm.python: '.*nothing' is no interpreter; name an environment's bin/python"),
        (tmp_path, "is no interpreter"),
        (program(tmp_path / "broken", "", "true && exit 3"), "vLLM is not installed"),
        (program(tmp_path / "old", "0.9.2", "true"), "has vLLM 0.9.2; it takes 0.10.2 or newer"),
    ):
        with pytest.raises(ConfigError, match=why) as caught:
            make_engine(settings(tiny_causal, python=python), threads=1)
        assert "\n" not in str(caught.value)


def test_one_that_does_not_start_is_quoted_and_its_log_is_kept(tiny_causal: Path, tmp_path: Path) -> None:
    serve = "echo starting; echo 'ValueError: No memory for keys and values' >&2; exit 7"
    python = program(tmp_path / "python", "0.32.0+cpu", serve)
    run = tmp_path / "run"
    with pytest.raises(ConfigError, match=r"vLLM 0\.32\.0\+cpu does not start: ValueError: No memory .*; see .*, or"):
        make_engine(settings(tiny_causal, python=python), threads=1, folder=run)
    [log] = run.iterdir()
    assert log.read_text().splitlines()[-1] == "the process ended with code 7"
    assert log.stat().st_mode & 0o077 == 0


FULL = """
import json, os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        said = json.dumps({"object": "list", "data": []}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def do_POST(self):
        print("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", file=sys.stderr, flush=True)
        os._exit(1)

HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Answers).serve_forever()
"""
"""A server that starts, and ends for want of memory at the first question."""


def test_one_that_finds_no_memory_says_which_keys_help(tiny_causal: Path, tmp_path: Path) -> None:
    says = "ValueError: Free memory on device (3/79 GiB) on startup is less than desired GPU memory utilization"
    python = program(tmp_path / "python", "0.32.0", f"echo '{says}' >&2; exit 1")
    with pytest.raises(
        ConfigError, match=r"Free memory .*change student\.vllm\.gpu_memory_utilization, lower student\.max"
    ):
        make_engine(settings(tiny_causal, python=python), threads=1, folder=tmp_path / "run")


def test_one_that_dies_of_memory_again_and_again_ends_the_run_and_fails_no_item(
    tiny_causal: Path, tmp_path: Path
) -> None:
    (tmp_path / "full.py").write_text(FULL)
    python = program(tmp_path / "python", "0.32.0", f'exec {sys.executable} {tmp_path}/full.py "$@"')
    engine = make_engine(settings(tiny_causal, python=python), threads=1, folder=tmp_path / "run")

    async def act() -> None:
        try:
            with pytest.raises(MemoryFullError, match=r"3 times .*CUDA out of memory.*--max-model-len.*openmic resume"):
                await engine.generate(request())
        finally:
            await engine.close()

    asyncio.run(act())


HANGS = FULL.replace("HTTPServer", "ThreadingHTTPServer").replace(
    """        print("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", file=sys.stderr, flush=True)
        os._exit(1)
""",
    """        self.log_message("asked")
        self.rfile.read()  # until whoever asked hangs up
""",
)
"""A server that starts, takes every question and answers none."""


def test_one_that_answers_nobody_is_noticed_as_one_of_another_is(
    tiny_causal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vllm_engine, "DYING_S", 0.2)
    (tmp_path / "hangs.py").write_text(HANGS)
    python = program(tmp_path / "python", "0.32.0", f'exec {sys.executable} {tmp_path}/hangs.py "$@"')
    engine = make_engine(settings(tiny_causal, python=python, timeout_s=0.5), threads=1, folder=tmp_path / "run")
    short = request(max_tokens=1)

    async def act() -> None:
        try:
            for hurried in (False, True):  # the second is the pool's plain request
                with pytest.raises(
                    UnansweredError, match=r"not answer request 'r': no answer in time \(student\.vllm\.timeout_s\)"
                ):
                    await engine.generate(replace(short, hurried=hurried))
        finally:
            await engine.close()

    asyncio.run(asyncio.wait_for(act(), 60))
    [log] = (tmp_path / "run").iterdir()
    assert log.read_text().count("asked") == 4


def test_one_that_does_not_start_again_ends_the_run_and_fails_no_item(tiny_causal: Path, tmp_path: Path) -> None:
    (tmp_path / "ends.py").write_text(FULL.replace("torch.OutOfMemoryError: CUDA out of memory", "Error: XID 79"))
    once = f"[ -e {tmp_path}/began ] && exit 3; touch {tmp_path}/began; exec {sys.executable} {tmp_path}/ends.py"
    python = program(tmp_path / "python", "0.32.0", f'{once} "$@"')
    engine = make_engine(settings(tiny_causal, python=python), threads=1, folder=tmp_path / "run")

    async def act() -> None:
        try:
            for asked in (engine.generate(request()), engine.generate(request())):
                with pytest.raises(StudentLostError, match=r"vLLM 0\.32\.0 does not start: .*code 3") as lost:
                    await asked
                assert not isinstance(lost.value, UnansweredError)
        finally:
            await engine.close()

    asyncio.run(act())


def test_one_that_ended_is_not_started_again_on_weights_that_were_changed(tmp_path: Path, tiny_causal: Path) -> None:
    student = tmp_path / "student"
    shutil.copytree(tiny_causal, student)
    (tmp_path / "ends.py").write_text(FULL)
    python = program(tmp_path / "python", "0.32.0", f'exec {sys.executable} {tmp_path}/ends.py "$@"')
    one = settings(student, python=python)
    known = KnownFiles("RUN1", student_files(one))
    engine = make_engine(one, threads=1, folder=tmp_path / "run", known=known)
    (student / "merges.txt").write_text("new")

    async def act() -> None:
        try:
            with pytest.raises(StudentChangedError, match=r"run RUN1 began with: merges.txt is new"):
                await engine.generate(request())
        finally:
            await engine.close()

    asyncio.run(act())


@pytest.mark.parametrize(
    ("pickled", "bits", "told_to"), [(False, None, True), (True, None, False), (False, "4bit", False)]
)
def test_it_takes_pickled_weights_only_where_a_key_names_them(
    pickled: bool, bits: str | None, told_to: bool, tiny_causal: Path, tmp_path: Path
) -> None:
    python = program(tmp_path / "python", "0.32.0", "true")
    one = settings(tiny_causal, python=python).model_copy(update={"pickled_weights": pickled, "quantization": bits})
    assert ("--load-format safetensors" in " ".join(VLLMServer(one, threads=1)._command())) is told_to
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "pytorch_model.bin").write_bytes(b"pickle")
    old = one.model_copy(update={"model": str(tmp_path / "old")})
    if pickled:
        VLLMServer(old, threads=1)
    else:
        with pytest.raises(StudentError, match=r"are pickled .*student\.pickled_weights"):
            VLLMServer(old, threads=1)


def test_one_that_takes_too_long_is_ended(tiny_causal: Path, tmp_path: Path) -> None:
    python = program(tmp_path / "python", "0.32.0+cpu", f"echo $$ >{tmp_path}/pid; exec sleep 300")
    with pytest.raises(ConfigError, match=r"was not up after 3 s: .*; see .*, or raise student\.vllm\.start_timeout_s"):
        make_engine(settings(tiny_causal, python=python, start_timeout_s=3), threads=1, folder=tmp_path / "run")
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def told(folder: Path, python: Path, **values: Any) -> tuple[list[str], dict[str, str]]:
    """What a server would be started with."""
    server = VLLMServer(settings(folder, python=python, **values), threads=3)
    try:
        return server._command(), server._environment()
    finally:
        server.close()


def test_it_is_started_as_the_settings_say(tiny_causal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    gpu, cpu = (program(tmp_path / version, version, "true") for version in ("0.32.0", "0.32.0+cpu"))
    more: dict[str, Any] = {"tensor_parallel_size": 2, "gpu_memory_utilization": 0.3, "max_lora_rank": 20}
    command, environment = told(tiny_causal, gpu, **more, arguments=["--max-model-len", "99"])
    line = " ".join(command)
    for part in ("--tensor-parallel-size 2", "--gpu-memory-utilization 0.3", "--max-lora-rank 32", "--max-loras 4"):
        assert part in line
    assert "--dtype bfloat16" in line
    assert "--host 127.0.0.1" in line
    assert "--max-num-seqs 5" in line
    assert "--lora-modules" not in line
    assert line.endswith("--max-model-len 99")
    assert environment["VLLM_API_KEY"] not in line
    assert len(environment["VLLM_API_KEY"]) > 30
    assert "PYTHONPATH" not in environment
    line = " ".join(told(tiny_causal, cpu)[0])
    assert "--dtype float32" in line
    assert "--max-loras 5 --" in line  # one more, for what asks for none
    assert "--lora-modules base-as-adapter=" in line
    assert told(tiny_causal, cpu)[1]["OMP_NUM_THREADS"] == "3"


def test_it_is_started_with_the_weights_that_are_meant(tmp_path: Path) -> None:
    gpu, cpu = (program(tmp_path / version, version, "true") for version in ("0.32.0", "0.32.0+cpu"))
    weights = {"revision": "v2", "dtype": "float16", "trust_remote_code": True, "quantization": "4bit"}
    values = {"model": "somebody/tiny", "engine": "vllm", "vllm": {"python": gpu}, **weights}
    line = " ".join(VLLMServer(StudentSettings.model_validate(values), threads=1)._command())
    for part in ("--revision v2", "--tokenizer-revision v2", "--code-revision v2", "--dtype float16"):
        assert f" {part} " in line
    assert " --trust-remote-code " in line
    assert " --quantization bitsandbytes" in line
    with pytest.raises(ConfigError, match=r"was built for CPUs, where it has no weights in 4 bits; leave"):
        VLLMServer(StudentSettings.model_validate(values | {"vllm": {"python": cpu}}), threads=1)


@pytest.mark.parametrize(
    ("given", "device", "seen"),
    [(None, "cuda:1", "1"), ("4,6", "cuda:1", "6"), ("4,6", "auto", "4,6"), ("4,6", "cuda", "4,6"), ("4", "cpu", "")],
)
def test_it_sees_the_gpus_that_ray_gave_and_of_those_the_one_that_is_named(
    given: str | None, device: str, seen: str, tiny_causal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if given is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    python = program(tmp_path / "python", "0.32.0", "true")
    server = VLLMServer(settings(tiny_causal, python=python).model_copy(update={"device": device}), threads=1)
    assert server._environment()["CUDA_VISIBLE_DEVICES"] == seen


def test_auto_takes_it_on_a_gpu_where_it_is_installed(tiny_causal: Path, tiny_seq2seq: Path, tmp_path: Path) -> None:
    vllm = {"python": str(program(tmp_path / "python", "0.32.0", "true"))}

    def picked(folder: Path, **more: Any) -> str:
        return engine_name(StudentSettings.model_validate({"model": str(folder), "device": "cuda", **more}))

    assert picked(tiny_causal, vllm=vllm) == "vllm"
    assert picked(tiny_causal) != "vllm"
    assert picked(tiny_causal, vllm=vllm, device="cpu") != "vllm"
    assert picked(tiny_causal, vllm=vllm, sampling={"num_beams": 2}) == "static"
    assert picked(tiny_seq2seq, vllm=vllm) == "static"


def test_settings_that_cannot_be_meant_are_refused() -> None:
    for changes, why in (
        ({"sampling": {"num_beams": 2}}, "engine=vllm has no beam search"),
        ({"vllm": {"tensor_parallel_size": 4}, "pool": {"gpus_per_actor": 1}}, "takes as many GPUs"),
        ({"vllm": {"max_lora_rank": 513}}, "less than or equal to 512"),
    ):
        with pytest.raises(ValueError, match=why):
            StudentSettings.model_validate({"engine": "vllm"} | changes)


def test_its_adapters_may_be_as_large_as_those_that_are_trained() -> None:
    def rank(engine: str, r: int, **vllm: Any) -> int | None:
        student = {"engine": engine, "vllm": vllm}
        config = RunConfig.model_validate(
            {"inputs": InputSettings(path=Path("x")), "student": student, "training": {"lora": {"r": r}}}
        )
        return config.student.vllm.max_lora_rank

    assert rank("vllm", 24) == rank("auto", 24) == 24
    assert rank("vllm", 24, max_lora_rank=64) == 64
    assert rank("vllm", 24, max_lora_rank=8) == 24
    assert rank("static", 24) is None
    assert rank("auto", 600) is None
    with pytest.raises(ValueError, match=r"training\.lora\.r=600 is more than vLLM takes, which is 512; lower it, or"):
        rank("vllm", 600)
