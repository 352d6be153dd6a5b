"""`openmic simulate`: the simulated teacher, critic and judge as a server."""

from pathlib import Path
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from ..core.endpoints.simulated import LASTING, PASSING, FaultRates
from ..core.errors import ConfigError
from ..simulator.settings import SimulatorSettings
from .options import home_expanded

EPILOG = "\n\n".join(
    f"\b\n{heading}\n" + "\n".join(f"  {kind:<16} {what}" for kind, what in kinds.items())
    for heading, kinds in (
        ("Faults of an attempt, twice in a row at most for the same request:", PASSING),
        ("Faults of a request, whenever it is made:", LASTING),
    )
)
"""What `--help` ends with."""


def simulate(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8199,
    seed: Annotated[int, typer.Option(help="Another seed gives another cast.")] = 0,
    quality: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the teacher's outputs that meet the critic's rubric.")
    ] = 0.35,
    latency: Annotated[float, typer.Option(min=0, help="Seconds that every answer takes.")] = 0.0,
    fault: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND=RATE", help="How often a fault befalls a request, from 0 to 1. May be repeated."),
    ] = None,
    retry_after: Annotated[
        float, typer.Option(min=0, help="Seconds to wait that a 429 tells of, where it tells.")
    ] = 1.0,
    prefer_first: Annotated[
        float, typer.Option(min=0, max=1, help="How often the text shown first wins whatever the texts are.")
    ] = 0.0,
    prefer_long: Annotated[
        float, typer.Option(help="Log-odds added to a verdict per unit of log length ratio; below 0 for short texts.")
    ] = 0.0,
    flip_rate: Annotated[float, typer.Option(min=0, max=1, help="How often a verdict is turned round.")] = 0.0,
    no_logprobs: Annotated[bool, typer.Option("--no-logprobs", help="Never answer with log-probabilities.")] = False,
    api_key: Annotated[str | None, typer.Option(help="The only key that is let in; everybody is, without one.")] = None,
    log: Annotated[
        Path | None, typer.Option(callback=home_expanded, help="Append one line of JSON per request to this file.")
    ] = None,
    ready_file: Annotated[Path | None, typer.Option(hidden=True)] = None,
    parent: Annotated[int | None, typer.Option(hidden=True)] = None,
    settings_json: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Serve a simulated teacher, critic and judge, OpenAI-compatible and free of charge.

    The models are sim-teacher, sim-critic, sim-judge, and sim-critic-2 and sim-critic-3 for a jury. They have the tasks
    humor and plain-language, judge by known rubrics, and can be told to be slow, unreliable or unfair.

    Example: openmic simulate --port 8199 --prefer-first 0.2 --fault 429=0.1 --log requests.jsonl
    """
    # Here, as the web framework takes longer to import than other commands take to run.
    from ..simulator.server import serve

    if settings_json is None:
        settings = SimulatorSettings(
            seed=seed,
            quality=quality,
            latency_s=latency,
            faults=_rates(fault or []),
            retry_after_s=retry_after,
            prefer_first=prefer_first,
            prefer_long=prefer_long,
            flip_rate=flip_rate,
            no_logprobs=no_logprobs,
            api_key=api_key,
        )
    else:
        settings = _parse(settings_json)
    serve(
        settings,
        host=host,
        port=port,
        log=log,
        ready_file=ready_file,
        parent=parent,
        on_ready=lambda base_url: _greet(base_url, settings),
    )


def _rates(given: list[str]) -> dict[str, float]:
    rates = {}
    for one in given:
        kind, _, rate = one.partition("=")
        try:
            rates[kind] = float(rate)
        except ValueError:
            raise ConfigError(f"--fault {one!r} is not KIND=RATE, such as --fault 429=0.1") from None
    try:
        return TypeAdapter(FaultRates).validate_python(rates)
    except ValidationError as error:
        raise ConfigError(f"--fault: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None


def _parse(text: str) -> SimulatorSettings:
    try:
        return SimulatorSettings.model_validate_json(text)
    except ValidationError as error:
        raise ConfigError(f"--settings-json does not hold settings of the simulated cast: {error}") from error


def _greet(base_url: str, settings: SimulatorSettings) -> None:
    key = "none" if settings.api_key is None else "THE_KEY_YOU_GAVE"
    typer.echo(
        f"The simulated cast listens on {base_url}; Ctrl-C stops it. To use it:\n"
        f"  OPENAI_BASE_URL={base_url} OPENAI_API_KEY={key} openmic run --set cast.teacher.model=sim-teacher"
        " --set cast.critic.model=sim-critic --set cast.judge.model=sim-judge",
        err=True,
    )
