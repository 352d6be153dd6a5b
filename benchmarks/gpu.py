"""What openmic does on one GPU, in 8 minutes: engines, training, feedback to answer, one run, and the card's ceilings.

Each step is a process of its own under a time limit of its own. One that takes longer says where it was and is ended,
and one for which no time is left is not begun. Figures are printed as they come, each also as a line of JSON with
`--json`, so that whatever ends the script leaves what it had found. It needs openmic's packages and, for those steps
alone, TRL and vLLM; what is not installed is left out in one line.
"""

import faulthandler
import json
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from report import arguments, report

WHOLE_S = 470.0
DUMP_S = 5.0
"""Before a step is ended it says where it is."""
OPTIONS = ("model", "device", "threads", "vllm")


def apart(name: str, options: Namespace, limit: float) -> Iterator[dict[str, Any]]:
    """The rows of a step in a process of its own, as they come, and at last how it ended where that was not well."""
    given = [f"--{key}={value}" for key in OPTIONS if (value := getattr(options, key)) is not None]
    quick = ["--quick"] if options.quick else []
    child = subprocess.Popen(  # noqa: S603 - this very script
        [sys.executable, __file__, "--step", name, "--seconds", str(limit), *given, *quick],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    late = threading.Event()

    def end() -> None:
        late.set()
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)

    timer = threading.Timer(limit + DUMP_S, end)
    timer.start()
    try:
        assert child.stdout is not None
        for line in child.stdout:
            with suppress(json.JSONDecodeError):
                yield json.loads(line)
        child.wait()
    finally:
        timer.cancel()
        end_of = late.is_set()
        end()  # whatever it has left behind
        child.wait()
    if end_of:
        yield {"step": name, "failed": f"it was not done after {limit:.0f} s and was ended"}
    elif child.returncode:
        yield {"step": name, "failed": f"it ended with code {child.returncode}; see above"}


def derived(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Ratios of what two steps found."""
    found = {row["what"]: row["value"] for row in rows if "value" in row}

    def last(beginning: str) -> float | None:
        return next((value for what, value in reversed(found.items()) if what.startswith(beginning)), None)

    pairs = (
        ("slots / transformers' generate, most requests", last("slots"), last("transformers' generate"), 5.0),
        ("training / TRL's", last("DPO, openmic"), last("DPO, TRL"), 1.5),
    )
    for what, ours, theirs, target in pairs:
        if ours is not None and theirs is not None:
            ratio = ours / theirs
            row = {"what": what, "value": ratio, "unit": "x", "target": target, "better": "more"}
            yield {"step": "ratios", **row, "met": ratio >= target}


def said(row: dict[str, Any]) -> str:
    """A row for a person."""
    for key in ("left_out", "failed"):
        if key in row:
            return f"{row['step']}: {key.replace('_', ' ')}: {row[key]}"
    text = f"{row['what']}: {row['value']:,.4g} {row['unit']}"
    if row["target"] is None:
        return text
    sign = "at least" if row["better"] == "more" else "at most"
    return f"{text}, to be {sign} {row['target']:,g}: {'met' if row['met'] else 'missed'}"


def card(device: str) -> str:
    """The device's name."""
    import torch

    from openmic.training.student.student import resolve_device

    where = resolve_device(device)
    return torch.cuda.get_device_name(where) if where.startswith("cuda") else f"CPU ({platform.machine()})"


def main(arguments_: list[str] | None = None) -> None:
    """Measure and print."""
    parser = arguments((__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="smollm2-135m-instruct", help="a causal student: hub id or folder")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, …")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of each engine")
    parser.add_argument("--vllm", help="an interpreter that has vLLM, to measure the engine vllm too")
    parser.add_argument("--only", help="these steps alone, with commas between")
    parser.add_argument("--seconds", type=float, default=WHOLE_S, help="for everything together")
    parser.add_argument("--step", help="one step, once, in this process")
    options = parser.parse_args(arguments_)
    if options.step:  # importing may be what takes too long
        faulthandler.dump_traceback_later(options.seconds)
    from gpu_steps import STEPS, carry_out, tell

    if options.step:
        for row in carry_out(options.step, options):
            tell(row)
        faulthandler.cancel_dump_traceback_later()
        return
    names = options.only.split(",") if options.only else [*STEPS]
    if unknown := set(names) - STEPS.keys():
        parser.error(f"no such step: {', '.join(sorted(unknown))}; there are {', '.join(STEPS)}")
    name, rows = card(options.device), list[dict[str, Any]]()
    sys.stdout.write(f"{name}; {options.model}\n")
    sys.stdout.flush()
    began = time.monotonic()
    for step in names:
        left = options.seconds - (time.monotonic() - began) - DUMP_S
        if left <= 0:
            found = iter([{"step": step, "failed": "no time was left for it"}])
        elif options.quick:
            found = carry_out(step, options)
        else:
            found = apart(step, options, min(STEPS[step][1], left))
        for row in found:
            rows.append(row)
            show(row, as_json=options.json)
    for row in derived(rows):
        rows.append(row)
        show(row, as_json=options.json)
    judged = [row["met"] for row in rows if row.get("met") is not None]
    told = [{"what": said(row)} for row in rows] or [{"what": "nothing was measured"}]
    parts = {"device": name, "model": options.model, "seconds": time.monotonic() - began, "rows": rows}
    share = sum(judged) / len(judged) if judged else 0.0
    report("gpu", share, "of the targets", target=1.0, rows=told, parts=parts, as_json=options.json)


def show(row: dict[str, Any], *, as_json: bool) -> None:
    """Print a row as it comes."""
    sys.stdout.write((json.dumps(row) if as_json else said(row)) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
