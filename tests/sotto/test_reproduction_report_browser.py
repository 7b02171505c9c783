"""The reproduction page in a real browser: two widths, light and dark, everything unfolded; drawings from disk."""

from __future__ import annotations

import pytest

from sotto import reproduction_report
from sotto.bench.claims.claim import Verdict
from tests.sotto.report.test_report_browser import WIDTHS
from tests.sotto.test_reproduction_report import reviewed

DRAWING = '<svg xmlns="http://www.w3.org/2000/svg" width="1000" height="80"><circle cx="40" cy="40" r="9"/></svg>'


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reproduction")
    (folder / "target").mkdir()
    (folder / "target" / "a drawing.svg").write_text(DRAWING)
    (folder / "report.html").write_text("<title>The report</title>")
    return reproduction_report.write([reviewed(each) for each in Verdict], folder, preset="quick").as_uri()


@pytest.fixture(scope="module")
def browser(chromium):
    return chromium()


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("width", "scheme"), zip(WIDTHS, ["light", "dark"], strict=True))
def test_nobody_is_shut_out(browser, address, width, scheme, watch):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    wide, high = WIDTHS[width]
    context = browser.new_context(viewport={"width": wide, "height": high}, color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    wrong = watch(page)
    page.goto(address)
    page.eval_on_selector_all("details", "all => all.forEach(each => { each.open = true; })")
    violations = [
        (found["id"], [node["html"][:200] for node in found["nodes"]]) for found in axe.run(page).response["violations"]
    ]
    assert violations == []
    assert page.evaluate("document.documentElement.scrollWidth") <= wide
    assert wrong == []
    context.close()


@pytest.mark.timeout(900)
def test_drawings_are_shown_and_details_open_by_keyboard(browser, address, watch):
    context = browser.new_context(offline=True)
    page = context.new_page()
    wrong = watch(page)
    page.goto(address)
    assert page.locator("article").count() == len(Verdict)
    summary = page.locator("summary", has_text="drawing").first
    summary.press("Enter")
    picture = page.locator("details[open] img")
    picture.scroll_into_view_if_needed()
    page.wait_for_function("picture => picture.naturalWidth === 1000", arg=picture.element_handle())
    assert wrong == []
    context.close()


@pytest.mark.timeout(900)
def test_a_place_in_the_overview_leads_to_its_card(browser, address, watch):
    page = browser.new_page()
    wrong = watch(page)
    page.goto(address)
    page.locator("#overview tbody a").last.press("Enter")
    last = page.locator("article").last
    last.locator("h3").wait_for(state="visible")
    page.wait_for_function("card => card.getBoundingClientRect().top < innerHeight", arg=last.element_handle())
    assert page.url.endswith("#" + last.get_attribute("id"))
    assert wrong == []
    page.close()


@pytest.mark.timeout(900)
def test_a_reader_is_told_that_the_page_is_partial_and_gets_back_to_the_report(browser, address, watch):
    page = browser.new_page()
    wrong = watch(page)
    page.goto(address)
    note = page.get_by_role("note")
    assert "Partial. 1 of" in note.inner_text()
    note.locator("summary").press("Enter")
    assert note.locator("li:visible").count() > 1
    page.get_by_role("link", name="Back to the report").press("Enter")
    page.wait_for_url("**/report.html")
    assert page.title() == "The report"
    assert wrong == []
    page.close()
