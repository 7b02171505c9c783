"""Energy from the kernel's counters: what is summed, how they begin anew, and what is said without any."""

from __future__ import annotations

import pytest

from sotto.bench.rows.energy import EnergyMeter


@pytest.fixture
def zones(tmp_path):
    """Two packages, and a part of one that must not be counted twice."""
    for name in ("intel-rapl:0", "intel-rapl:1", "intel-rapl:0:0"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "max_energy_range_uj").write_text("1000000\n")
        (tmp_path / name / "energy_uj").write_text("100\n")
    return tmp_path


def test_packages_are_summed_while_the_meter_is_entered(zones):
    meter = EnergyMeter(zones)
    for joules in (3, 5):
        with meter:
            for name in ("intel-rapl:0", "intel-rapl:1", "intel-rapl:0:0"):
                counter = zones / name / "energy_uj"
                counter.write_text(str(int(counter.read_text()) + joules * 10_000))
        (zones / "intel-rapl:1" / "energy_uj").write_text("100")  # between two queries
    assert meter.joules(4) == pytest.approx(2 * 8 * 0.01 / 4)


def test_a_counter_that_began_anew_is_taken_on(zones):
    counter = zones / "intel-rapl:0" / "energy_uj"
    counter.write_text("999000")
    meter = EnergyMeter(zones)
    with meter:
        counter.write_text("2000")
    assert meter.joules(1) == pytest.approx(0.003)


@pytest.mark.parametrize("content", ["", "none", None])
def test_without_counters_that_can_be_read_there_is_no_figure(zones, content):
    counter = zones / "intel-rapl:0" / "energy_uj"
    if content is None:
        counter.unlink()
    else:
        counter.write_text(content)
    meter = EnergyMeter(zones)
    with meter:
        pass
    assert meter.joules(1) is None


def test_a_machine_without_the_folder_has_no_figure(tmp_path):
    meter = EnergyMeter(tmp_path / "nothing")
    with meter:
        pass
    assert meter.joules(1) is None
