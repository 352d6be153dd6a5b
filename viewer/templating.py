"""The templates' surroundings: everything is escaped, a name that is not there is an error, and how values are said."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..evaluation.shown import shown_rate, shown_score, shown_share, undecided
from .texts import LONG, brief, plain, shown

NONE = "\N{EN DASH}"
"""What stands where there is no value."""
TEMPLATES = Path(__file__).parent / "templates"


@cache
def environment() -> Environment:
    """The environment of all templates, each of which is compiled once."""
    found = Environment(
        autoescape=True,
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {
        "brief": brief,
        "json": as_json,
        "moment": moment,
        "ms": milliseconds,
        "number": number,
        "percent": percent,
        "plain": plain,
        "rate": shown_rate,
        "score": score,
        "shown": shown,
        "since": since,
        "words": words,
        "yaml": as_yaml,
    }
    found.tests["undecided"] = undecided
    found.globals |= {"LONG": LONG, "url": url}
    return found


def url(path: str, query: Mapping[str, Any] | None = None, **more: Any) -> str:
    """An address with the query's values that are there."""
    pairs = {name: value for name, value in {**(query or {}), **more}.items() if value not in {None, ""}}
    return f"{path}?{urlencode(pairs)}" if pairs else path


def moment(value: datetime | None) -> str:
    """A moment to the minute, in UTC."""
    return "" if value is None else value.astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def since(start: datetime, end: datetime | None) -> str:
    """How long something took; nothing while it goes on."""
    if end is None:
        return ""
    seconds = round((end - start).total_seconds())
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"


def milliseconds(value: float) -> str:
    """A duration in the unit that suits it."""
    return f"{value / 1000:.1f} s" if value >= 1000 else f"{value:.0f} ms"


def number(value: float) -> str:
    """A number with its thousands apart; three digits of what is less than 100 and no whole number."""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def percent(value: float | None) -> str:
    """A share in per cent."""
    return NONE if value is None else shown_share(value)


def score(mean: float | None, share: bool) -> str:
    """A scorer's mean, in per cent where it is a share."""
    return NONE if mean is None else shown_score(mean, share=share)


def words(name: object) -> str:
    """A value's name as words."""
    return str(name).replace("_", " ")


def as_json(value: Any) -> str:
    """A value as JSON that a person can read."""
    return json.dumps(value, ensure_ascii=False, indent=2, default=str)


def as_yaml(value: Any) -> str:
    """A value as a configuration file would have it."""
    return str(yaml.safe_dump(value, allow_unicode=True, sort_keys=False, width=100))
