"""What AI models cost: the operator's own prices, which whoever may set them changes here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Final

import deps
import streamlit as st
import viewer
from components import figures_view as show
from components import frame
from formats import count, esc
from roles import Action

from otel_audit.errors import ConfigError
from otel_audit.reports.price_file import PriceFile
from otel_audit.reports.prices import Price, PriceTable, format_prices

_SAID: Final = "_price_said"  # what became of the last press of a button
_RATES: Final = (
    ("input", "Input", "For a million tokens that the model reads."),
    ("output", "Output", "For a million tokens that the model writes."),
    ("cache_read", "Read from a cache", "For a million input tokens from the provider's cache; empty: as other input."),
    ("cache_write", "Written to a cache", "For a million input tokens put into it; empty: as other input."),
)


def show_prices(table: PriceTable | None, models: Sequence[str]) -> None:
    """The panel. ``models`` are what one may set a price for, those without one first; others can be typed."""
    drawer = st.expander("What models cost", icon=":material/payments:", key="prices", on_change="rerun")
    if not drawer.open:
        return
    with drawer:
        file = deps.price_file()
        if file is None:
            st.html('<p class="sub">Name a file for the prices with <code>OTEL_AUDIT_PRICES</code>.</p>')
            return
        prices = tuple(table.prices) if table else ()
        if table and prices:
            st.html(
                f'<p class="sub">{count(len(prices), "price")} in {esc(table.currency)} for a million tokens, from '
                f"<code>{esc(file.path)}</code>. The newest that has begun holds.</p>"
            )
            _table(prices)
        else:
            st.html(
                '<p class="sub">No price is built in, because prices are a matter of your contract. They are kept in '
                f"<code>{esc(file.path)}</code>.</p>"
            )
        if not viewer.may(Action.SET_PRICES):
            st.html('<p class="sub">Your role reads prices, and does not set them.</p>')
            return
        _form(file, table, models)
        if prices:
            _removal(file, prices)
        if said := st.session_state.pop(_SAID, ""):
            st.html(f'<p class="sub" role="status">{esc(said)}</p>')


def _table(prices: Sequence[Price]) -> None:
    show.table(
        ["Model", "Provider", "From", *(label for _, label, _ in _RATES)],
        (
            [
                esc(each.model),
                "any" if each.provider == "*" else esc(each.provider),
                "the beginning" if each.since == date.min else f"{each.since:%-d %b %Y}",
                *("" if (rate := getattr(each, name)) is None else f"{rate:,f}" for name, _, _ in _RATES),
            ]
            for each in prices
        ),
        "Prices for a million tokens",
        words=(1, 2),
    )


def _form(file: PriceFile, table: PriceTable | None, models: Sequence[str]) -> None:
    frame.section(
        "Set a price",
        "For a million tokens. One for the same model and day takes the place of the other. Changes are recorded.",
    )
    with st.form("set_price", border=False):
        model, since, currency = st.columns([2, 1, 1])
        model.selectbox(
            "Model",
            list(models),
            index=None,
            key="price_model",
            accept_new_options=True,
            placeholder="As the page shows it; * stands for anything",
        )
        since.date_input("Holds from", None, key="price_since", help="The day in UTC; empty: from the beginning.")
        currency.text_input(
            "Currency",
            table.currency if table else "EUR",
            max_chars=8,
            key="price_currency",
            disabled=table is not None,
        )
        for (name, label, meaning), place in zip(_RATES, st.columns(len(_RATES)), strict=True):
            place.number_input(label, 0.0, None, None, format="%g", key=f"price_{name}", help=meaning)
        st.form_submit_button("Set price", icon=":material/check:", on_click=_set, args=(file, table))


def _set(file: PriceFile, table: PriceTable | None) -> None:
    given = st.session_state
    rates = {name: given.get(f"price_{name}") for name, _, _ in _RATES}
    model = (given.get("price_model") or "").strip()
    if not model or rates["input"] is None or rates["output"] is None:
        given[_SAID] = "Give a model, and what its input and its output cost."
        return
    exact = {name: None if rate is None else Decimal(str(rate)) for name, rate in rates.items()}
    price = Price(model=model, since=given.get("price_since") or date.min, **exact)  # type: ignore[arg-type]
    try:
        after = file.put(price, table.currency if table else given.get("price_currency") or "")
    except ConfigError as exc:
        given[_SAID] = str(exc)
        return
    for name in ("model", "since", *rates):
        given[f"price_{name}"] = None
    _record("SET_PRICE", price, after)
    given[_SAID] = f"Set the price of “{model}”."


def _removal(file: PriceFile, prices: Sequence[Price]) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox(
            "A price to remove",
            range(len(prices)),
            None,
            format_func=lambda each: _name(prices[each]),
            key="price_gone",
        )
        st.button(
            "Remove",
            icon=":material/delete:",
            type="tertiary",
            key="remove_price",
            disabled=chosen is None,
            on_click=_remove,
            args=(file, None if chosen is None else prices[chosen]),
        )


def _name(price: Price) -> str:
    since = "" if price.since == date.min else f" from {price.since:%-d %b %Y}"
    return f"{price.model}{'' if price.provider == '*' else f' of {price.provider}'}{since}"


def _remove(file: PriceFile, price: Price) -> None:
    try:
        after = file.remove(price)
    except ConfigError as exc:
        st.session_state[_SAID] = str(exc)
        return
    st.session_state["price_gone"] = None
    _record("REMOVE_PRICE", price, after)
    st.session_state[_SAID] = f"Removed the price of “{_name(price)}”."


def _record(action: str, price: Price, after: PriceTable) -> None:
    """Say in the ledger which prices hold from now on, so that a cost can be told from the prices of its day."""
    viewer.record(action, price.model, "price", filter_text=format_prices(after), always=True)
