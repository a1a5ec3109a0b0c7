"""The operator's own prices of AI models, from a TOML file. Pure.

No price is built in: prices are a matter of your contract. ``dashboard/prices.example.toml`` explains the file.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any, Final

from otel_audit.errors import ConfigError

_MILLION: Final = Decimal(1_000_000)
_RATES: Final = ("input", "output", "cache_read", "cache_write")
_KEYS: Final = {"model", "provider", "since", *_RATES}


@dataclass(frozen=True, slots=True)
class Price:
    """Prices for a million tokens of the models that ``model`` matches (``*`` stands for anything), from ``since`` on.

    A call is matched by the model that was asked for and by the one that answered, such as a dated version of it.

    Where ``cache_read`` or ``cache_write`` is None, those tokens cost what other input costs.
    """

    model: str
    input: Decimal
    output: Decimal
    provider: str = "*"
    since: date = date.min
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None


@dataclass(frozen=True, slots=True)
class PriceTable:
    """All prices, in one currency."""

    currency: str
    prices: Sequence[Price]

    def of(self, provider: str, models: Iterable[str], day: date) -> Price | None:
        """The price that holds: the newest ``since`` that has come, and of the same day the one that stands last."""
        fitting = [
            price
            for price in self.prices
            if price.since <= day
            and any(fnmatchcase(model, price.model) for model in models)
            and fnmatchcase(provider, price.provider)
        ]
        return max(enumerate(fitting), key=lambda each: (each[1].since, each[0]))[1] if fitting else None

    def cost(self, row: Mapping[str, Any]) -> Decimal | None:
        """What the tokens of a row (day, provider, both models and the four counts) cost; None without a price.

        ``input_tokens`` includes those read from and written to a cache, as the OpenTelemetry conventions say.
        """
        price = self.of(row["provider"], (row["model"], row["asked_model"]), date.fromisoformat(row["day"]))
        if price is None:
            return None
        read, written = row["cache_read_tokens"], row["cache_write_tokens"]
        plain = max(0, row["input_tokens"] - read - written)
        paid = plain * price.input + row["output_tokens"] * price.output
        paid += read * (price.input if price.cache_read is None else price.cache_read)
        paid += written * (price.input if price.cache_write is None else price.cache_write)
        cost: Decimal = paid / _MILLION
        return cost


def parse_prices(text: str, place: str) -> PriceTable:
    """Read a price file; ``place`` names it in errors. Raises ConfigError that says what is wrong, and where.

    >>> parse_prices('currency = "EUR"', "prices.toml")
    PriceTable(currency='EUR', prices=())
    """
    try:
        read = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError(f"{place}: this is not TOML: {exc}") from exc
    currency = read.get("currency")
    if not isinstance(currency, str) or not currency.strip() or len(currency) > 8:
        raise ConfigError(f'{place}: give the currency of the prices: currency = "EUR"')
    prices = read.get("price", [])
    if set(read) - {"currency", "price"} or not isinstance(prices, list):
        raise ConfigError(f"{place}: only `currency` and [[price]] are known here")
    return PriceTable(currency.strip(), tuple(_price(each, f"{place}: price {n}") for n, each in enumerate(prices, 1)))


def format_prices(table: PriceTable) -> str:
    """Write a price file that ``parse_prices`` reads as this table.

    >>> print(format_prices(PriceTable("EUR", [Price("gpt-*", Decimal("2.5"), Decimal(10))])), end="")
    currency = "EUR"
    <BLANKLINE>
    [[price]]
    model = "gpt-*"
    input = 2.5
    output = 10
    """
    lines = [f"currency = {_quoted(table.currency)}"]
    for price in table.prices:
        lines += ["", "[[price]]", f"model = {_quoted(price.model)}"]
        if price.provider != "*":
            lines.append(f"provider = {_quoted(price.provider)}")
        if price.since != date.min:
            lines.append(f"since = {price.since.isoformat()}")
        rates = [(name, getattr(price, name)) for name in _RATES]
        lines += [f"{name} = {rate:f}" for name, rate in rates if rate is not None]
    return "\n".join([*lines, ""])


def _quoted(text: str) -> str:
    """A basic string of TOML: JSON's escapes are TOML's, which also wants U+007F escaped (toml.io/en/v1.0.0#string)."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _price(given: Any, place: str) -> Price:
    if not isinstance(given, dict):
        raise ConfigError(f"{place} is no table: begin it with [[price]]")
    if unknown := sorted(set(given) - _KEYS):
        raise ConfigError(f"{place}: {', '.join(unknown)} is not known; possible: {', '.join(sorted(_KEYS))}")
    for name in ("model", "provider"):
        if not isinstance(given.get(name, "*"), str):
            raise ConfigError(f'{place}: {name} has to be a text in quotes, such as "gpt-*"')
    if "model" not in given:
        raise ConfigError(f'{place}: say which model it is for: model = "..."')
    since = given.get("since", date.min)
    if type(since) is not date:
        raise ConfigError(f"{place}: since has to be a date without quotes, such as 2026-01-31")
    rates: dict[str, Decimal | None] = {}
    for name in _RATES:
        value = given.get(name)
        if value is None and name in {"input", "output"}:
            raise ConfigError(f"{place}: {name} is missing: the price of a million {name} tokens")
        number = None if value is None else _amount(value, f"{place}: {name}")
        rates[name] = number
    return Price(model=given["model"], provider=given.get("provider", "*"), since=since, **rates)  # type: ignore[arg-type]


def _amount(value: Any, place: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not Decimal(value).is_finite() or value < 0:
        raise ConfigError(f"{place} has to be a number of 0 or more, without quotes")
    return Decimal(value)
