"""The price file: what is written is what was meant."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_audit.errors import ConfigError
from otel_audit.reports.price_file import PriceFile
from otel_audit.reports.prices import Price, PriceTable, format_prices, parse_prices

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
amounts = st.decimals(0, 10**6, places=4)
prices = st.builds(
    Price,
    model=texts,
    input=amounts,
    output=amounts,
    provider=texts,
    since=st.dates(),
    cache_read=st.none() | amounts,
    cache_write=st.none() | amounts,
)
currencies = texts.map(str.strip).filter(lambda text: 0 < len(text) <= 8)


@given(st.builds(PriceTable, currencies, st.lists(prices, max_size=4).map(tuple)))
def test_a_table_is_read_as_it_was_written(table):
    """Whatever stands in a name, writing and reading a table gives the same table."""
    assert parse_prices(format_prices(table), "here") == table


def test_a_price_takes_the_place_of_its_like(tmp_path):
    """Prices of one model, provider and day replace each other; others stay, as does the currency of the file."""
    file = PriceFile(tmp_path / "prices.toml")
    assert file.read() is None
    one, two = Price("a", Decimal(1), Decimal(2)), Price("b", Decimal(1), Decimal(2))
    later, dearer = Price("a", Decimal(1), Decimal(2), since=date(2026, 1, 1)), Price("a", Decimal(9), Decimal(9))
    for price in (one, two, later):
        file.put(price, "EUR")
    assert file.put(dearer, "USD") == file.read() == PriceTable("EUR", (two, later, dearer))
    assert file.remove(one).prices == (two, later)


def test_a_file_that_is_none_of_ours_is_left_alone(tmp_path):
    """What can not be read is not written over, and what could not be read again is not written."""
    file, price = PriceFile(tmp_path / "prices.toml"), Price("a", Decimal(1), Decimal(2))
    file.path.write_text("# mine")
    for change in (lambda: file.put(price, "EUR"), lambda: file.remove(price)):
        with pytest.raises(ConfigError, match="give the currency"):
            change()
    assert file.path.read_text() == "# mine"
    file.path.unlink()
    with pytest.raises(ConfigError, match="give the currency"):
        file.put(price, "  ")
    with pytest.raises(ConfigError, match="no such file"):
        file.remove(price)
    assert not file.path.exists()
