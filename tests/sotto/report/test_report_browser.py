"""The report page in a real browser: charts, sorting, filters, keyboard, accessibility, two widths, light and dark."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest

from sotto import report
from sotto.bench.rows.row import Spent, Timing
from tests.sotto.report.test_report import ROW, hostile_row, scene_of

WIDTHS = {"desktop": (1360, 900), "phone": (390, 844)}
#: Of each chart, the figures that a row needs to be in it.
CHARTS = {
    "chart-accuracy": ("total", "loss"),
    "chart-bytes": ("bytes", "online"),
    "chart-nets": ("online",),
}


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
                    n_queries=96,
                    parameters={"net": net},
                    accuracy_private=0.4 + number / 10,
                    accuracy_loss=0.3 - number / 10,
                    online_ms=Timing(9.0 * 11**number + late, 10.0 * 11**number + late),
                    total=Spent(19.0 * 11**number + late, 1000 * 2**number),
                )
            )
    peer = {"net": "loopback", "peer": "Another System"}
    return [*found, msgspec.structs.replace(found[0], mode="peer", parameters=peer, online_ms=None, total=None)]


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


def marks(page, chart):
    """Ids of the rows that the chart shows, one for each mark."""
    return page.eval_on_selector_all(f"#{chart} .marks a", "links => links.map(link => link.href.baseVal.slice(1))")


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
    assert heading(page, "Batched").is_hidden()
    for name in ("Rounds", "Keys", "Memory", "Leaks all the same"):
        assert heading(page, name).is_visible()
    page.select_option("[name=view]", "all")
    assert heading(page, "Batched").is_visible()
    assert page.locator("#results thead th:visible").count() == page.locator("#results thead th").count()


@pytest.mark.parametrize("net", ["loopback", "wan", ""])
def test_every_row_with_the_figures_is_one_mark(page, net):
    page.select_option("[name=net]", net)
    listed = page.evaluate("JSON.parse(document.getElementById('data').textContent).rows")
    for chart, keys in CHARTS.items():
        expected = [
            row["id"]
            for row in listed
            if all(row["cells"][key][0] is not None for key in keys)
            and (chart == "chart-nets" or net in ("", row["net"]))
        ]
        assert expected
        assert marks(page, chart) == expected
        assert f"{len(expected)} " in page.get_attribute(f"#{chart} svg", "aria-label")


def test_shape_and_colour_tell_paradigms_apart_and_peers_are_hollow(browser, tmp_path, watch):
    listed = [*rows(), msgspec.structs.replace(rows()[0], mode="peer", parameters={"peer": "Another System"})]
    page = browser.new_page()
    wrong = watch(page)
    page.goto(report.write(listed, tmp_path / "report.html", None).as_uri())
    look = """shapes => shapes.map(shape => [shape.getAttribute("d").replace(/-?[\\d.]+/g, ""),
        getComputedStyle(shape).fill, getComputedStyle(shape).stroke])"""
    *filled, hollow = page.eval_on_selector_all("#chart-accuracy [aria-label=dot][aria-hidden] path", look)
    assert len({shape for shape, _, _ in filled}) == len({fill for _, fill, _ in filled}) == 3
    assert hollow[0] == filled[0][0]
    assert hollow[1:] == filled[0][:0:-1]  # what is filled elsewhere is the line here
    legend = page.eval_on_selector_all("#legend path", look)
    assert [entry[:2] for entry in legend] == [entry[:2] for entry in filled]
    assert page.inner_text("#legend").split() == ["mpc", "he", "keyed", "hollow:", "another", "system", "(peer)"]
    assert wrong == []
    page.close()


def test_the_front_passes_through_the_rows_nothing_beats_and_on_to_the_edges(page):
    places = page.eval_on_selector_all(
        "#chart-accuracy .marks circle", "marks => marks.map(mark => [mark.cx.baseVal.value, mark.cy.baseVal.value])"
    )
    corners = _corners(page, "chart-accuracy")
    for place in places:  # each slower row loses less
        assert any(place == pytest.approx(corner, abs=0.01) for corner in corners)
    assert len(corners) == 2 * len(places) - 1
    assert len(_corners(page, "chart-bytes")) == 1  # equal bytes: the fastest alone
    for chart in ("chart-accuracy", "chart-bytes"):
        assert page.locator(f"#{chart} .front line").count() == 2
    page.select_option("[name=net]", "")
    assert page.locator("#chart-accuracy .front path").count() == 2  # one for each network


def _corners(page, chart):
    numbers = re.findall(r"-?[\d.]+", page.get_attribute(f"#{chart} .front path", "d"))
    return [[float(x), float(y)] for x, y in zip(numbers[::2], numbers[1::2], strict=True)]


def ticks(page, chart, axis):
    texts = page.locator(f"#{chart} [aria-label='{axis}-axis tick label'] text").all_text_contents()
    return [text for text in texts if text]


def test_axes_have_the_units_of_the_figures(page):
    assert ticks(page, "chart-accuracy", "x") == ["10 ms", "100 ms", "1 s", "10 s"]
    assert {"10", "30"} <= set(ticks(page, "chart-accuracy", "y"))
    assert ticks(page, "chart-bytes", "x")[0].endswith("kB")
    assert ticks(page, "chart-nets", "y") == ["loopback", "wan"] * 3


def opened(browser, watch, path, listed, **viewport):
    page = browser.new_page(viewport={"width": 1280, "height": 900} | viewport)
    wrong = watch(page)
    page.goto(report.write(listed, path, None).as_uri())
    return page, wrong


def test_few_clips_are_faded_and_off_the_front_of_accuracy_alone(browser, tmp_path, watch):
    best = msgspec.structs.replace(rows()[0], mode="few", accuracy_private=1.0, accuracy_loss=-0.3, n_queries=6)
    page, wrong = opened(browser, watch, tmp_path / "report.html", [*rows()[:3], best])
    opacities = "dots => dots.map(dot => dot.getAttribute('opacity') || '1')"
    shapes = "[aria-label=dot][aria-hidden] path"
    assert sorted(page.eval_on_selector_all(f"#chart-accuracy {shapes}", opacities)) == ["0.35", "1", "1", "1"]
    assert set(page.eval_on_selector_all(f"#chart-bytes {shapes}", opacities)) == {"1"}
    assert len(_corners(page, "chart-accuracy")) == 5  # of three rows, as without it
    assert page.text_content("td[data-key=private]:has-text('of 6')") == "100.0 % of 6"
    page.uncheck("[name=paradigm][value=he]")
    page.uncheck("[name=paradigm][value=keyed]")
    page.fill("[name=words]", "few")
    assert len(marks(page, "chart-accuracy")) == 1
    assert page.locator("#chart-accuracy .front path").count() == 0
    assert wrong == []
    page.close()


@pytest.mark.parametrize("width", [390, 1280])
def test_a_single_row_has_round_axes_and_its_name_stays_in_the_card(browser, tmp_path, watch, width):
    alone = msgspec.structs.replace(rows()[2], model="a model with a very long name " * 3, accuracy_loss=0.103125)
    page, wrong = opened(browser, watch, tmp_path / "report.html", [alone], width=width)
    assert page.locator("#chart-nets").count() == 0  # one network is no comparison of networks
    for chart in ("chart-accuracy", "chart-bytes"):
        card = page.locator(f"#{chart}").bounding_box()
        for text in page.locator(f"#{chart} svg text").all():
            box = text.bounding_box()
            if box and box["width"]:
                assert card["x"] <= box["x"], text.text_content()
                assert box["x"] + box["width"] <= card["x"] + card["width"], text.text_content()
    assert "10" in ticks(page, "chart-accuracy", "y")
    assert len(ticks(page, "chart-accuracy", "y")) > 1
    assert len(ticks(page, "chart-bytes", "x")) > 1
    assert wrong == []
    page.close()


def test_a_wide_table_scrolls_in_its_own_frame_and_says_that_there_is_more(page):
    page.set_viewport_size({"width": 800, "height": 900})
    page.wait_for_selector("#sheet[data-rest]")
    page.eval_on_selector("#sheet", "frame => frame.scrollLeft = frame.scrollWidth")
    page.wait_for_selector("#sheet:not([data-rest])")
    assert page.evaluate("document.documentElement.scrollWidth") <= 800


def test_the_head_of_the_table_stays_while_its_rows_scroll(browser, tmp_path, watch):
    many = [msgspec.structs.replace(rows()[0], model=f"model {number}") for number in range(40)]
    page, wrong = opened(browser, watch, tmp_path / "report.html", many)
    frame = page.locator("#sheet").bounding_box()
    assert frame["height"] < 900
    page.eval_on_selector("#sheet", "frame => frame.scrollTop = 500")
    head = page.locator("#results thead th:visible").nth(2).bounding_box()
    assert head["y"] == pytest.approx(page.locator("#sheet").bounding_box()["y"], abs=2)
    solid = "bar => getComputedStyle(bar).backgroundColor === getComputedStyle(document.body).backgroundColor"
    assert page.eval_on_selector(".bar", solid)
    assert wrong == []
    page.close()


def test_a_chart_without_rows_says_so(page):
    for paradigm in ("mpc", "he", "keyed"):
        page.uncheck(f"[name=paradigm][value={paradigm}]")
    for chart in CHARTS:
        assert "No row that is left" in page.inner_text(f"#{chart}")
        assert page.locator(f"#{chart} svg").count() == 0
    assert page.inner_text("#legend") == ""
    page.check("[name=paradigm][value=he]")
    assert page.locator("p.empty").count() == 0
    assert [len(marks(page, chart)) for chart in CHARTS] == [1, 1, 2]


def test_tab_reaches_every_mark_and_enter_leads_to_its_row(page):
    page.select_option("[name=net]", "")
    for chart in CHARTS:
        expected = marks(page, chart)
        page.locator(f"#{chart} .marks a").first.focus()
        for row in expected:
            link = page.evaluate_handle("document.activeElement")
            assert link.evaluate("link => link.href.baseVal") == f"#{row}"
            assert page.locator("#tip").is_visible()
            label = link.evaluate("link => link.firstChild.getAttribute('aria-label')")
            assert page.inner_text("#tip b") in label
            assert page.get_by_role("link", name=label).count() == len(
                [known for known in CHARTS if row in marks(page, known)]
            )
            page.keyboard.press("Enter")
            assert page.get_attribute("tr.marked", "id") == row
            assert page.evaluate("document.activeElement.closest('tr').id") == row
            assert page.locator("#tip").is_hidden()
            link.evaluate("link => link.focus()")
            page.keyboard.press("Tab")
        assert page.evaluate(f"document.activeElement.closest('#{chart}')") is None


def test_a_mark_is_named_at_the_pointer_and_a_click_leads_to_its_row(page):
    for chart in CHARTS:
        mark = page.locator(f"#{chart} .marks a").nth(1)
        row = mark.evaluate("link => link.href.baseVal.slice(1)")
        mark.hover()
        name = page.inner_text(f"#{row} small").split(", ")[0]
        assert name in page.inner_text("#tip")
        page.keyboard.press("Escape")
        assert page.locator("#tip").is_hidden()
        page.mouse.move(0, 0)
        mark.hover()
        assert page.locator("#tip").is_visible()
        page.mouse.move(0, 0)
        assert page.locator("#tip").is_hidden()
        mark.click()
        assert page.get_attribute("tr.marked", "id") == row


def test_charts_follow_the_width_and_are_printed(page):
    def width():
        return page.eval_on_selector("#chart-accuracy svg", "svg => svg.viewBox.baseVal.width")

    before = width()
    names = page.locator("#chart-accuracy > svg > [aria-label=text]")
    assert names.count()
    page.set_viewport_size({"width": 390, "height": 844})
    while width() >= before:  # the page's policy lets Playwright's own waiting not evaluate
        page.wait_for_timeout(20)
    assert names.count() == 0  # no room beside the marks
    page.emulate_media(media="print")
    assert all(page.locator(f"#{chart} svg").is_visible() for chart in CHARTS)
    assert page.locator(".bar").is_hidden()
    assert page.pdf().startswith(b"%PDF")


def test_the_styles_that_the_charts_bring_are_let_act(page):
    inert = "styles => styles.filter(style => !style.sheet || !style.sheet.cssRules.length).length"
    assert page.locator("style").count() == 1 + len(CHARTS) + 1  # the page's own, each chart's, the legend's
    assert page.eval_on_selector_all("style", inert) == 0
    assert page.eval_on_selector("#chart-nets text", "text => getComputedStyle(text).whiteSpace") == "pre"


def test_a_style_or_script_that_is_not_the_pages_own_does_nothing(browser, address):
    page = browser.new_page()
    refused = []
    page.on("console", lambda line: refused.append(line.text))
    page.goto(address)
    page.evaluate(
        """added => { for (const [name, text] of Object.entries(added)) {
             const element = document.createElement(name);
             element.textContent = text; document.body.append(element); } }""",
        {"style": "body { margin: 7px }", "script": "document.title = 'taken'"},
    )
    assert page.evaluate("getComputedStyle(document.body).margin") == "0px"
    assert page.title().startswith("Sotto")
    assert len([line for line in refused if "Content Security Policy" in line]) == 2
    page.close()


def test_the_details_of_a_marks_row_open_by_keyboard(page):
    page.locator("#chart-accuracy .marks a").nth(1).focus()
    assert "he mode1" in page.text_content("#tip")
    page.keyboard.press("Enter")
    assert "he" in page.text_content("tr.marked")
    assert page.evaluate("document.activeElement.className") == "more"
    page.keyboard.press("Enter")
    assert page.locator("dialog[open]").is_visible()
    assert "accuracy wrong key" in page.text_content("dialog")
    told = page.inner_text("dialog")
    assert "Alice's waits in one query" in told  # what a column means
    assert "not measured in this run" in told  # why a figure is missing
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


@pytest.mark.parametrize(("width", "scheme"), zip(WIDTHS, ["light", "dark"], strict=True))
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
    page.locator(".more").last.click()
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


@pytest.mark.parametrize(("kind", "suffix"), [("CSV", "csv"), ("JSON", "json"), ("LaTeX", "tex")])
def test_what_is_shown_can_be_saved(page, kind, suffix):
    page.uncheck("[name=paradigm][value=he]")
    with page.expect_download() as waiting:
        page.click(f"button.save[value={kind}]")
    assert waiting.value.suggested_filename == f"sotto.{suffix}"
    text = Path(waiting.value.path()).read_text()
    assert "keyed" in text
    assert "mode1" not in text  # he is filtered out
    if kind == "JSON":
        assert [line["Paradigm"] for line in json.loads(text)] == ["mpc", "Another System", "keyed"]
    elif kind == "CSV":
        assert len(text.splitlines()) == 4
    else:
        assert text.startswith(r"\begin{tabular}")
        assert r"100.0 \%" in text or r" \%" in text
