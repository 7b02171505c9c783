"""The plot of growth: a line for each mode and network, those without a dealer among them."""

from sotto.bench.papers.bittner.growth import draw
from sotto.bench.rows.row import Row, Timing


def row(mode, batch, memory):
    metrics = {"relus": 2560.0, "online_bytes": 2e6, "offline_bytes": 1e6, **memory}
    parameters = {"along": "batch", "batch": batch, "width": 1.0}
    timing = Timing(2.0 * batch, 3.0 * batch)
    return Row(
        paradigm="mpc", mode=mode, model="depinto", seed=0, n_queries=1, parameters=parameters, metrics=metrics,
        online_ms=timing, offline_ms=timing,
    )  # fmt: skip


def test_modes_with_and_without_a_dealer_are_drawn(tmp_path):
    parties = {"alice_rss_mb": 200.0, "bob_rss_mb": 300.0}
    rows = [row("two-party", batch, parties) for batch in (1, 4)]
    rows += [row("malicious", batch, parties | {"dealer_rss_mb": 150.0}) for batch in (1, 4)]
    draw(rows, tmp_path / "growth.svg")
    drawn = (tmp_path / "growth.svg").read_text()
    assert "two-party, depinto" in drawn
    assert "malicious, depinto" in drawn
