"""What the members of a cast charge: as the configuration says, else as a price list does that others maintain."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version

from ...agents.endpoints.access import endpoint_url
from ...core.config import CastSettings, RunConfig
from ...core.errors import ConfigError
from ...core.records import Role
from ...store.spending import MILLION, Price
from .seats import ROLES, Seat, SeatSettings, seat_model, seat_setting, seats

_THOUSAND = 1000
"""The price list is asked about so many tokens: for prompts of a hundred times that some models charge otherwise."""


def prices_of(cast: CastSettings) -> dict[str, Price]:
    """What each member of a cast that is an endpoint's model charges, known or not, by `ROLE.MEMBER`."""
    return {seat_key(seat): _price(cast, seat, settings) for seat, settings in seats(cast).items() if settings.asked}


def seat_key(seat: Seat) -> str:
    """How a run's prices name a seat."""
    return f"{seat[0]}.{seat[1]}"


def check_priced(
    config: RunConfig, prices: Mapping[str, Price] | None = None, *, roles: Sequence[Role] = ROLES
) -> None:
    """Make sure that a budget in dollars can be kept.

    Args:
        config: The configuration.
        prices: What a run that exists recorded. None: as known now.
        roles: Who is asked.

    Raises:
        ConfigError: nobody knows what a model charges.
    """
    if config.budget.usd is None:
        return
    known = prices_of(config.cast) if prices is None else prices
    for seat, settings in seats(config.cast, roles).items():
        price = known.get(seat_key(seat))
        if settings.asked and (price is None or price.per_million is None):
            key = settings_key(config.cast, seat)
            why = "it was not when the run began" if price is None else price.source
            anew = (
                f"set {key}.price={{input: …, output: …}} (dollars per million tokens), or " if prices is None else ""
            )
            raise ConfigError(
                f"budget.usd cannot be kept: what {key} charges ({seat_model(seat, settings)}) is not known: {why}; "
                f"{anew}set budget.tokens instead"
            )


def settings_key(cast: CastSettings, seat: Seat) -> str:
    """Where it is set who sits there; a judge that is the critic itself shares the critic's settings."""
    return f"cast.{seat_setting(('critic', 0) if seat[0] == 'judge' and cast.judge is None else seat)}"


def _price(cast: CastSettings, seat: Seat, settings: SeatSettings) -> Price:
    model, own = seat_model(seat, settings), settings.price
    if own is not None:
        cached = own.input if own.cached is None else own.cached
        charged = {"input": own.input, "cached": cached, "output": own.output, "reasoning": own.output}
        return Price(model, charged, f"{settings_key(cast, seat)}.price")
    if settings.simulated:
        free = dict.fromkeys(("input", "cached", "output", "reasoning"), 0.0)
        return Price(model, free, "the simulated cast is free")
    return _listed(model, endpoint_url(settings))


def _listed(model: str, url: str) -> Price:
    from genai_prices import Usage, calc_price  # takes a second

    asked = {
        "input": Usage(input_tokens=_THOUSAND),
        "cached": Usage(input_tokens=_THOUSAND, cache_read_tokens=_THOUSAND),
        "output": Usage(output_tokens=_THOUSAND),
        "reasoning": Usage(output_tokens=_THOUSAND, output_reasoning_tokens=_THOUSAND),
    }
    today = datetime.now(UTC)
    edition = f"genai-prices {version('genai-prices')}, {today:%Y-%m-%d}"
    try:
        found = {
            name: calc_price(usage, model, provider_api_url=url, genai_request_timestamp=today).total_price
            for name, usage in asked.items()
        }
    except LookupError:  # neither a model nor an address that it knows
        return Price(model, None, f"{edition} has no price of it at {url}")
    return Price(model, {name: float(dollars) * MILLION / _THOUSAND for name, dollars in found.items()}, edition)
