"""`openmic simulate`: the simulated teacher, critic and judge as a server."""

from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from ..core.errors import ConfigError
from ..simulator.settings import SimulatorSettings
from .options import home_expanded


def simulate(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8199,
    seed: Annotated[int, typer.Option(help="Another seed gives another cast.")] = 0,
    quality: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the teacher's outputs that meet the critic's rubric.")
    ] = 0.35,
    latency: Annotated[float, typer.Option(min=0, help="Seconds that every answer takes.")] = 0.0,
    rate_limit_rate: Annotated[
        float, typer.Option(min=0, max=1, help="How often a request is turned away with status 429.")
    ] = 0.0,
    refuse_rate: Annotated[float, typer.Option(min=0, max=1, help="How often a model declines to answer.")] = 0.0,
    broken_json_rate: Annotated[
        float, typer.Option(min=0, max=1, help="How often what should be JSON is not quite JSON.")
    ] = 0.0,
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

    Example: openmic simulate --port 8199 --prefer-first 0.2 --log requests.jsonl
    """
    # Here, as the web framework takes longer to import than other commands take to run.
    from ..simulator.server import serve

    if settings_json is None:
        settings = SimulatorSettings(
            seed=seed,
            quality=quality,
            latency_s=latency,
            rate_limit_rate=rate_limit_rate,
            refuse_rate=refuse_rate,
            broken_json_rate=broken_json_rate,
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
