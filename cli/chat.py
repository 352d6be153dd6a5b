"""`openmic chat`: talk to the student, with a run's adapter."""

import asyncio
import os
import sys
from collections.abc import Iterator
from typing import Annotated

import typer

from ..core.config import saved_config
from ..core.errors import AdapterError, NotFoundError
from ..core.ids import derive_seed
from ..core.records import NO_ADAPTER, AdapterRef
from ..core.text import printable
from ..store import Adapter
from ..store.liveness import in_use
from .options import JsonOption, StoreOption, print_json, read_store


def chat(
    text: Annotated[
        list[str] | None, typer.Argument(help="What to say. Without it, lines are read from stdin.")
    ] = None,
    run: Annotated[str, typer.Option("--run", help="A run's id, a unique beginning of it, or `latest`.")] = "latest",
    version: Annotated[
        int | None,
        typer.Option("--version", help="The adapter version; 0 is the bare student. Default: the last promoted."),
    ] = None,
    samples: Annotated[int, typer.Option("-n", "--samples", min=1, help="How many answers to sample.")] = 1,
    seed: Annotated[int, typer.Option(help="Another seed samples other answers.")] = 0,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have the student answer, with the adapter it has learned.

    \b
    Examples:
      openmic chat "I burned the toast this morning."
      openmic chat --version 1 -n 3 "The bus was late again."
      openmic chat            # one answer per line you type
    """
    with read_store(store) as reader:
        found = reader.resolve_run(run)
        adapters = reader.select(Adapter, run_id=found.id, order_by="version")
        places = {row.version: reader.located(row.uri) for row in adapters if row.uri is not None}
    if not adapters:
        raise NotFoundError(f"run {found.id} has no adapter to talk to (it is a {found.kind}); name another with --run")
    config = saved_config(found).settled()
    ref = _adapter(adapters, version, places)

    from ..agents.cast import StudentAgent
    from ..graph.context.plugs import Plugs
    from ..training.engines.choose import make_engine
    from ..training.student.fingerprint import KnownFiles

    task = Plugs().recall(found).task(config.task)
    agent = StudentAgent(task, derive_seed(config.seed, "chat", seed))
    interactive = not text and sys.stdin.isatty()

    async def talk() -> None:
        known = KnownFiles(found.id, found.student_files)
        engine = make_engine(config.student, threads=config.training.threads or os.cpu_count() or 1, known=known)
        try:
            await engine.load(ref)
            if interactive:
                typer.echo(
                    f"student {printable(config.student.model)}, adapter v{ref.version}; end with Ctrl-D", err=True
                )
            for line in [" ".join(text)] if text else _lines(interactive=interactive):
                sampling = config.evaluation.sampling
                asked = [agent.draft(f"chat:{i}:{line}", line, sampling, ref.version) for i in range(samples)]
                said = await asyncio.gather(*(engine.generate(request) for request in asked))
                answers = [task.clean(generation.text) for generation in said]
                if as_json:
                    print_json({"input": line, "adapter_version": ref.version, "outputs": answers})
                else:
                    typer.echo("\n".join(printable(answer) for answer in answers))
        finally:
            await engine.close()

    with in_use(reader, found):
        asyncio.run(talk())


def _adapter(adapters: list[Adapter], version: int | None, places: dict[int, str]) -> AdapterRef:
    if version is None:
        promoted = [row for row in adapters if row.status == "promoted"]
        row = promoted[-1] if promoted else None
    else:
        row = next((row for row in adapters if row.version == version), None)
        if row is None and version != 0:
            raise NotFoundError(f"there is no adapter version {version}; there are {[row.version for row in adapters]}")
    if row is None or row.version == 0:
        return NO_ADAPTER
    if row.version not in places:
        raise AdapterError(f"adapter version {row.version} has no files")
    return AdapterRef(row.version, places[row.version], row.sha256)


def _lines(*, interactive: bool) -> Iterator[str]:
    while True:
        if interactive:
            typer.echo("> ", nl=False, err=True)
        line = sys.stdin.readline()
        if not line:
            return
        if line.strip():
            yield line.strip()
