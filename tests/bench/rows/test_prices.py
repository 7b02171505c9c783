"""What a million queries cost: arithmetic at given prices, and files that hold none."""

from __future__ import annotations

import msgspec
import pytest

from sotto.bench.rows import prices
from sotto.bench.rows.prices import Prices, PricesError
from sotto.bench.rows.row import Row, Spent
from tests.error_codes import raises_code

PRICES = Prices(name="ours", date="2026-01", usd_per_core_hour=3.6, usd_per_gb=0.1, queries_per_session=10)
ROW = Row(
    paradigm="he",
    mode="packed",
    seed=0,
    n_queries=4,
    total=Spent(100.0, 2000, {"alice": 0.02, "bob": 0.08}),
    session=Spent(1000.0, 50_000, {"alice": 0.9, "bob": 0.1}),
)


def test_a_query_pays_for_itself_and_for_its_share_of_the_session():
    cost = PRICES.applied(ROW).cost
    assert cost.processor_usd == pytest.approx(1e6 * (0.1 + 1.0 / 10) * 0.001)
    assert cost.traffic_usd == pytest.approx(1e6 * (2000 + 50_000 / 10) * 1e-10)
    assert cost.prices == "ours, 2026-01, 10 queries a session"


def test_without_a_session_the_query_pays_for_itself_alone():
    cost = PRICES.cost(msgspec.structs.replace(ROW, session=None))
    assert cost.processor_usd == pytest.approx(100.0)


@pytest.mark.parametrize("total", [None, Spent(1.0, 2)])
def test_what_is_not_known_costs_nothing_that_could_be_named(total):
    assert PRICES.cost(msgspec.structs.replace(ROW, total=total)) is None


def test_the_shipped_prices_say_what_they_are_and_can_be_replaced(tmp_path):
    shipped = prices.read(None)
    assert shipped.date[:2] == "20"
    assert shipped.usd_per_core_hour > 0 < shipped.usd_per_gb
    path = tmp_path / "prices.toml"
    path.write_text(
        'name = "ours"\ndate = "2026-01"\nusd_per_core_hour = 3.6\nusd_per_gb = 0.1\nqueries_per_session = 10\n'
    )
    assert prices.read(path) == PRICES


@pytest.mark.parametrize(
    "text",
    [
        None,
        "name = ",
        'name = "a"\ndate = "b"\nusd_per_core_hour = 1\nusd_per_gb = 1\n',
        'name = "a"\ndate = "b"\nusd_per_core_hour = -1\nusd_per_gb = 1\nqueries_per_session = 1\n',
        'name = "a"\ndate = "b"\nusd_per_core_hour = 1\nusd_per_gb = 1\nqueries_per_session = 0\n',
        'name = "a"\ndate = "b"\nusd_per_core_hour = 1\nusd_per_gb = 1\nqueries_per_session = 1\nmore = 1\n',
    ],
)
def test_a_file_that_holds_no_prices_is_one_clear_line(tmp_path, text):
    path = tmp_path / "prices.toml"
    if text is not None:
        path.write_text(text)
    with raises_code(PricesError, "bad-prices") as raised:
        prices.read(path)
    assert "\n" not in str(raised.value)
