"""`openmic view`: the transcripts as web pages."""

import webbrowser
from threading import Thread
from typing import Annotated

import typer

from ..core.config import store_address
from .options import StoreOption, read_store


def view(
    run: Annotated[
        str | None, typer.Argument(help="A run's id, a unique beginning of it, or `latest`. Default: all runs.")
    ] = None,
    *,
    host: Annotated[
        str, typer.Option(help="Address to listen on; elsewhere than here a token is needed.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8190,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allowed-host",
            metavar="NAME[:PORT]",
            help="A name under which a proxy shows the pages to whom it lets in, with its port unless it is 80 or 443. "
            "May be repeated.",
        ),
    ] = None,
    root_path: Annotated[
        str, typer.Option("--root-path", metavar="PATH", help="The path under which a proxy shows them, as /openmic.")
    ] = "",
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address.")] = False,
    store: StoreOption = None,
) -> None:
    """Look at the runs of a store in a web browser, while they go on or afterwards. Ctrl-C stops it.

    \b
    Examples:
      openmic view
      openmic view latest --no-browser
      openmic view --host 0.0.0.0 --port 8190
      openmic view --allowed-host research.example.org --root-path /openmic
    """
    # Here, as the web framework takes longer to import than other commands take to run.
    from ..viewer.serving import serve

    path = "/"
    if run is not None:
        with read_store(store) as reader:
            path = f"/runs/{reader.resolve_run(run).id}"

    def announce(address: str) -> None:
        typer.echo(address)
        if not no_browser:
            # In a thread, as a browser without windows stays until it is left, and the server must answer it.
            Thread(target=webbrowser.open, args=(address,), daemon=True).start()

    serve(
        store_address(store),
        host=host,
        port=port,
        path=path,
        proxied_as=allowed_host or (),
        root_path=root_path,
        on_ready=announce,
    )
