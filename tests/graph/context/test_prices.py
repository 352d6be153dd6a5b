from typing import Any

import pytest

from openmic.core.config import RunConfig
from openmic.core.errors import ConfigError
from openmic.core.records import TokenUsage
from openmic.graph.context.prices import check_priced, prices_of
from openmic.store.spending import Price

OPENAI = "https://api.openai.com/v1"
HERE = "http://127.0.0.1:9/v1"


def config_of(budget: dict[str, Any] | None = None, **cast: Any) -> RunConfig:
    return RunConfig.model_validate({"inputs": {"path": "x.txt"}, "cast": cast, "budget": budget or {}})


def test_models_of_providers_are_in_the_price_list_which_says_its_edition_and_the_day() -> None:
    cast = config_of(critic={"model": "gpt-4.1-mini", "base_url": OPENAI}).cast
    price = prices_of(cast)["critic.0"]
    assert price.per_million == pytest.approx({"input": 0.4, "cached": 0.1, "output": 1.6, "reasoning": 1.6})
    assert price.source.startswith("genai-prices 0.")
    assert price.source[-10:-6].isdigit()
    assert price.dollars(TokenUsage(input=1_000_000, cached=500_000, output=1_000_000)) == pytest.approx(1.85)


def test_a_model_of_one_s_own_server_is_not_priced_by_its_name() -> None:
    price = prices_of(config_of(teacher={"model": "gpt-4.1-mini", "base_url": HERE}).cast)["teacher.0"]
    assert price.per_million is None
    assert f"has no price of it at {HERE}" in price.source
    unknown = prices_of(config_of(teacher={"model": "gpt-of-tomorrow", "base_url": OPENAI}).cast)["teacher.0"]
    assert unknown.per_million is None


def test_what_the_configuration_says_is_taken_and_caching_is_no_cheaper_unless_it_says_so() -> None:
    said = {"model": "gpt-4.1-mini", "base_url": OPENAI, "price": {"input": 3, "output": 15}}
    price = prices_of(config_of(critic=said).cast)["critic.0"]
    assert price == Price("gpt-4.1-mini", {"input": 3, "cached": 3, "output": 15, "reasoning": 15}, "cast.critic.price")
    judged = config_of(critic={**said, "price": {"input": 3, "output": 15, "cached": 0.3}}).cast
    assert prices_of(judged)["judge.0"].per_million == {"input": 3, "cached": 0.3, "output": 15, "reasoning": 15}


def test_every_seat_has_a_price_and_objects_and_files_have_none() -> None:
    jury = [{"model": "simulated"}, {"model": "gpt-4.1", "base_url": OPENAI}]
    cast = config_of(teacher={"demonstrations": "shown.jsonl"}, judge={"use": "length"}, jury=jury).cast
    assert set(prices_of(cast)) == {"critic.0", "critic.1", "critic.2"}
    assert prices_of(cast)["critic.1"].dollars(TokenUsage(input=10**9)) == 0


@pytest.mark.parametrize(
    ("cast", "key"),
    [
        ({"teacher": {"model": "mine", "base_url": HERE}}, "cast.teacher"),
        ({"critic": {"model": "mine", "base_url": HERE}}, "cast.critic"),
        ({"references": {"model": "mine", "base_url": HERE}}, "cast.references"),
        ({"jury": [{"model": "mine", "base_url": HERE}]}, "cast.jury.0"),
        ({"judge": {"model": "mine", "base_url": HERE}}, "cast.judge"),
    ],
)
def test_a_budget_in_dollars_needs_every_price(cast: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match=rf"budget\.usd cannot be kept: what {key} charges \(mine\)"):
        check_priced(config_of({"usd": 5}, **cast))
    check_priced(config_of({"tokens": 500}, **cast))
    check_priced(config_of({"usd": 5}))


def test_a_run_that_began_without_a_price_cannot_be_given_dollars() -> None:
    config = config_of({"usd": 5}, critic={"model": "mine", "base_url": HERE})
    recorded = prices_of(config.cast)
    with pytest.raises(ConfigError, match="not known"):
        check_priced(config, recorded)
    with pytest.raises(ConfigError, match="it was not when the run began"):
        check_priced(config, {})
