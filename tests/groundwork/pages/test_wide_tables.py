"""Wide tables and pictures in a real browser: printed whole, with a hint where they scroll, first column in sight."""

import re
import shutil

import pytest

from groundwork.pages.blocks import Section
from groundwork.pages.drawing import add_title, drawing
from groundwork.pages.page import html_page
from groundwork.pages.table import Table

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
A4_PX = 703  # 186 mm, the width between the page margins in the style
NARROW = Table("Narrow", ("Thing", "Share, %"), (("mug", "15 to 85"),))
WIDE = Table(
    "Wide",
    ("Thing", *(f"Interval of the column {n}, %" for n in range(12))),
    tuple((f"the thing with number {n}", *["15 to 85"] * 12) for n in range(3)),
)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page with both tables."""
    if BROWSER is None:
        pytest.skip("chromium is not on the path: apt-get install chromium")
    playing = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: pip install playwright")
    file = tmp_path_factory.mktemp("page") / "page.html"
    file.write_text(html_page("Tables", [Section("both", "Both", (NARROW, WIDE))]))
    with playing.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-dev-shm-usage"])
        page = running.new_page(viewport={"width": 1280, "height": 900})
        page.goto(file.as_uri())
        yield page
        running.close()


def scrolling_and_hints(page):
    """For each table, whether it scrolls and whether the hint is visible."""
    return page.evaluate(
        """async () => { for (const _ of [1, 2]) await new Promise(requestAnimationFrame);
        return [...document.querySelectorAll(".wide")].map(frame =>
        [frame.scrollWidth > frame.clientWidth, getComputedStyle(frame.querySelector(".scrolls")).visibility]); }"""
    )


def test_the_scroll_hint_is_visible_only_where_a_table_scrolls(page):
    for width, expected in ((1280, [False, True]), (400, [True, True]), (2600, [False, True])):
        page.set_viewport_size({"width": width, "height": 900})
        hints = [[scrolls, "visible" if scrolls else "hidden"] for scrolls in expected]
        assert scrolling_and_hints(page) == hints, width


def test_the_first_column_stays_in_sight(page):
    page.set_viewport_size({"width": 1280, "height": 900})
    script = """place => { const frame = document.querySelectorAll(".wide")[1]; frame.scrollLeft = place;
      const cell = frame.querySelector("tbody th").getBoundingClientRect();
      return [frame.scrollLeft > 0, Math.round(cell.left - frame.getBoundingClientRect().left)]; }"""
    assert page.evaluate(script, 0) == [False, 0]
    assert page.evaluate(script, 9999) == [True, 0]


def test_no_table_is_cut_off_in_print(page):
    page.set_viewport_size({"width": A4_PX, "height": 1000})
    page.emulate_media(media="print")
    sides = page.evaluate(
        """[...document.querySelectorAll("td, th")].map(cell => [cell.getBoundingClientRect().right,
        cell.scrollWidth - cell.clientWidth])"""
    )
    assert all(right <= A4_PX + 1 and over <= 0 for right, over in sides)
    assert all(hint.is_hidden() for hint in page.locator(".scrolls").all())
    page.emulate_media(media="screen")


def test_letters_in_a_picture_are_large_enough_on_a_narrow_screen():
    with drawing(height=2) as (axes, content):
        axes.set_xlabel("x")
        add_title(axes, "a sentence that is much longer than what has room above a picture in one line, so it is two")
        size_pt = axes.xaxis.label.get_size()
        assert axes.figure.get_suptitle().count("\n") == 1
    width_pt = float(re.search(rb'width="([0-9.]+)pt"', content.getvalue())[1])
    assert size_pt * (400 - 32) / width_pt >= 11  # px, on a page of 400 px without its margins
