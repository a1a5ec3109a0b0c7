"""The price file, as the dashboard reads and changes it. Its format is that of ``prices.parse_prices``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from otel_audit.errors import ConfigError
from otel_audit.reports.prices import Price, PriceTable, format_prices, parse_prices
from otel_audit.store.folder import only_writer, write_whole


class PriceFile:
    """The prices of one file, which need not exist. Safe to share between threads and processes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> PriceTable | None:
        """The prices; None when there is no file. Raises ConfigError for one that can not be read."""
        try:
            return parse_prices(self.path.read_text(encoding="utf-8"), str(self.path))
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as exc:
            raise ConfigError(f"{self.path}: this file can not be read: {exc}") from exc

    def put(self, price: Price, currency: str) -> PriceTable:
        """Add a price, or replace the one of the same model, provider and day; returns what the file then says.

        ``currency`` is that of a file that is made; one that is there keeps its own. The file is written anew:
        comments in it are lost. Raises ConfigError, with a text for people.
        """

        def changed(table: PriceTable) -> PriceTable:
            others = [each for each in table.prices if _key(each) != _key(price)]
            return replace(table, prices=(*others, price))

        return self._change(changed, PriceTable(currency.strip(), ()))

    def remove(self, price: Price) -> PriceTable:
        """Take out the price of the same model, provider and day, if there is one. Raises as ``put``."""
        return self._change(
            lambda table: replace(table, prices=tuple(each for each in table.prices if _key(each) != _key(price))), None
        )

    def _change(self, changed: Callable[[PriceTable], PriceTable], new: PriceTable | None) -> PriceTable:
        try:
            with only_writer(self.path.parent):
                before = self.read() or new
                if before is None:
                    raise ConfigError(f"{self.path}: there is no such file any more")
                text = format_prices(changed(before))
                after = parse_prices(text, str(self.path))  # what can not be read must not be written
                write_whole(self.path, text, replace=True)
        except OSError as exc:
            raise ConfigError(f"{self.path}: the prices can not be written: {exc.strerror}") from exc
        return after


def _key(price: Price) -> tuple[object, ...]:
    return price.model, price.provider, price.since
