"""The report page in a real browser: charts, sorting, filters, keyboard, accessibility, two widths, light and dark."""

from __future__ import annotations

import msgspec
import pytest

from bench.row import Timing
from sotto import report
from tests.sotto.test_report import ROW, hostile_row, scene_of

WIDTHS = {"desktop": (1360, 900), "phone": (390, 844)}


def rows():
    """Three paradigms and a peer on two networks."""
    found = []
    for net, late in (("loopback", 0.0), ("wan", 40.0)):
        for number, paradigm in enumerate(("mpc", "he", "keyed")):
            found.append(
                msgspec.structs.replace(
                    ROW,
                    paradigm=paradigm,
                    mode=f"mode{number}",
                    parameters={"net": net},
                    accuracy_private=0.4 + number / 10,
                    online_ms=Timing(9.0 * 11**number + late, 10.0 * 11**number + late),
                )
            )
    peer = {"net": "loopback", "peer": "Another System"}
    return [*found, msgspec.structs.replace(found[0], mode="peer", parameters=peer, online_ms=None)]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    report.write(rows(), path, "a notice", scene=scene_of("a clip"))
    return path.as_uri()


@pytest.fixture(scope="module")
def browser(chromium):
    return chromium()


@pytest.fixture
def page(browser, address, watch):
    context = browser.new_context(viewport={"width": 1360, "height": 900}, offline=True)
    found = context.new_page()
    wrong = watch(found)
    found.goto(address)
    yield found
    assert wrong == []
    context.close()


def column(page, place):
    return page.eval_on_selector_all(
        "#results tbody tr:not([hidden])", f"lines => lines.map(line => line.cells[{place}].textContent)"
    )


def heading(page, name):
    return page.locator("#results thead button", has_text=name)


def test_headings_sort_by_value_and_keep_blanks_last(page):
    page.select_option("[name=net]", "")
    heading(page, "Online").first.click()
    place = page.eval_on_selector("th[aria-sort]", "head => head.cellIndex")
    up = column(page, place)
    assert up == ["9.00 ms", "49.0 ms", "99.0 ms", "139 ms", "1,089 ms", "1,129 ms", "–"]
    heading(page, "Online").first.click()
    assert page.get_attribute("th[aria-sort]", "aria-sort") == "descending"
    assert column(page, place) == [*up[:-1][::-1], "–"]
    heading(page, "Paradigm").press("Enter")
    assert [name.split()[0] for name in column(page, 0)] == ["he", "he", "keyed", "keyed", "mpc", "mpc", "mpc"]


def test_filters_leave_rows_and_marks_and_say_how_many(page):
    assert page.text_content("#count") == "4 of 7 rows"  # the first network
    assert page.locator("#chart-accuracy a").count() == 3  # the peer has no time here
    page.uncheck("[name=paradigm][value=he]")
    assert page.text_content("#count") == "3 of 7 rows"
    assert page.locator("#chart-accuracy a").count() == 2
    page.fill("[name=words]", "another sys")
    assert page.text_content("#count") == "1 of 7 rows"
    assert "peer" in column(page, 0)[0]
    page.fill("[name=words]", "")
    page.select_option("[name=net]", "wan")
    assert page.text_content("#count") == "2 of 7 rows"
    assert page.locator("#chart-nets a").count() == 4  # both networks, whatever the filter


def test_views_change_the_columns(page):
    assert heading(page, "Rounds").is_hidden()
    page.select_option("[name=view]", "all")
    assert heading(page, "Rounds").is_visible()
    assert page.locator("#results thead th:visible").count() == page.locator("#results thead th").count()


def test_the_front_passes_through_the_rows_nothing_beats(page):
    front = page.get_attribute("#chart-accuracy .front", "d")
    places = page.eval_on_selector_all(
        "#chart-accuracy a", "marks => marks.map(mark => mark.getAttribute('transform').match(/[\\d.]+/g))"
    )
    assert all(f"H{x}V{y}" in front for x, y in places)  # each slower row is more accurate
    assert len(page.get_attribute("#chart-bytes .front", "d").split("V")) == 2  # equal bytes: the fastest alone


def test_a_mark_is_reached_by_keyboard_named_and_leads_to_its_row(page):
    mark = page.locator("#chart-accuracy a").nth(1)
    mark.focus()
    assert "he mode1" in page.text_content("#tip")
    assert "99.0 ms" in mark.get_attribute("aria-label")
    page.keyboard.press("Enter")
    assert "he" in page.text_content("tr.marked")
    assert page.evaluate("document.activeElement.className") == "more"
    page.keyboard.press("Enter")
    assert page.locator("dialog[open]").is_visible()
    assert "accuracy wrong key" in page.text_content("dialog")
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0


def test_tabs_show_one_panel_by_keyboard_and_its_sound_can_be_played(page):
    assert page.locator("[role=tabpanel]:visible").count() == 1
    page.locator("[role=tab]").first.focus()
    page.keyboard.press("ArrowRight")
    assert page.get_attribute("#tab-1", "aria-selected") == "true"
    assert page.locator("#panel-1").is_visible()
    assert page.locator("#panel-0").is_hidden()
    seconds = page.evaluate(
        """() => new Promise((resolve, reject) => { const sound = document.querySelector("#panel-1 audio");
             sound.onloadedmetadata = () => resolve(sound.duration); sound.onerror = () => reject(sound.error.message);
             sound.preload = "auto"; sound.load(); })"""
    )
    assert seconds == pytest.approx(0.5, abs=0.01)
    loaded = page.eval_on_selector_all("img:visible", "pictures => pictures.map(picture => picture.naturalWidth)")
    assert all(loaded)
    assert loaded


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_nobody_is_shut_out(browser, address, width, scheme, tmp_path, watch):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    wide, high = WIDTHS[width]
    context = browser.new_context(viewport={"width": wide, "height": high}, color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    wrong = watch(page)
    page.goto(address)
    violations = [
        (found["id"], [node["html"][:200] for node in found["nodes"]]) for found in axe.run(page).response["violations"]
    ]
    assert violations == []
    assert page.evaluate("document.documentElement.scrollWidth") <= wide
    picture = page.screenshot(path=tmp_path / f"{width}-{scheme}.png", full_page=True)
    assert picture.startswith(b"\x89PNG")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (dark != "rgb(251, 251, 253)") == (scheme == "dark")
    assert wrong == []
    context.close()


def test_crafted_results_run_nothing(browser, tmp_path, watch):
    path = tmp_path / "report.html"
    report.write([hostile_row(), ROW], path, "<b>", scene=scene_of('"><img src=x onerror=alert(1)>'))
    page = browser.new_page()
    wrong = watch(page)
    page.goto(path.as_uri())
    for choice in page.locator("#filters select:not([name=view])").all():
        choice.select_option("")
    page.locator(".more").first.click()
    assert "onerror" in page.text_content("dialog")
    assert page.title().startswith("Sotto")
    assert page.locator("img[src=x]").count() == 0
    assert wrong == []
    page.close()


def test_without_script_the_table_is_all_there(browser, address):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    assert page.locator("#results tbody tr:visible").count() == 7
    assert page.locator("[role=tabpanel]:visible").count() == 2
    context.close()
