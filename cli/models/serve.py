"""`openmic serve`: the student behind OpenAI's API."""

from typing import Annotated

import typer

from ..options import JsonOption, StoreOption, print_json, read_store
from .chosen import StudentArgument, chosen


def serve(
    student: StudentArgument = "latest",
    host: Annotated[
        str, typer.Option(help="Address to listen on; elsewhere than here a token is needed.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8000,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="OPENMIC_SERVE_TOKEN",
            show_envvar=True,
            help="What every request must bear as its API key. Others see a command line; rather use the variable.",
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option("--device", help="Where to compute: cpu, cuda, … Default: as in the run.")
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Serve the student over OpenAI's API: chat completions, streaming, and each version as a model.

    Under /v1/tasks/NAME a message is an input, with the task's prompts before it. Ctrl-C stops it.

    \b
    Examples:
      openmic serve
      openmic serve latest:v2 --port 8080
      OPENMIC_SERVE_TOKEN=… openmic serve --host 0.0.0.0
      curl http://127.0.0.1:8000/v1/models
    """
    # Here, as the web framework takes longer to import than other commands take to run.
    from ...graph.serving.server import serve as serve_student
    from ...graph.serving.students import Served

    wanted = chosen(student)

    def announce(address: str, served: Served) -> None:
        task = f"{address}/tasks/{served.task.name}"
        if as_json:
            print_json({"url": address, "task_url": task, "models": list(served.models)})
            return
        typer.echo(address)
        typer.echo(f"with the prompts of the task: {task}\nmodels: {', '.join(served.models)}", err=True)

    with read_store(store) as reader:
        run = reader.resolve_run(wanted.run)
        version = wanted.version if isinstance(wanted.version, int) else None
        serve_student(reader, run, version, host=host, port=port, token=token, device=device, on_ready=announce)
