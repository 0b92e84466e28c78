"""Wide tables and pictures in a real browser: printed whole, said to scroll where they do, first column in sight."""

import re
import shutil

import pytest

from groundwork.pages.blocks import Section
from groundwork.pages.drawing import add_title, drawing
from groundwork.pages.page import html_page
from groundwork.pages.table import Table

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
A4_PX = 703  # of 186 mm, between the margins of the style
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
        pytest.skip("no chromium on the path: apt-get install chromium")
    playing = pytest.importorskip("playwright.sync_api", reason="no Playwright: pip install playwright")
    file = tmp_path_factory.mktemp("page") / "page.html"
    file.write_text(html_page("Tables", [Section("both", "Both", (NARROW, WIDE))]))
    with playing.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-dev-shm-usage"])
        page = running.new_page(viewport={"width": 1280, "height": 900})
        page.goto(file.as_uri())
        yield page
        running.close()


def said(page):
    """Of each table whether it scrolls, and whether that is said."""
    return page.evaluate(
        """async () => { for (const _ of [1, 2]) await new Promise(requestAnimationFrame);
        return [...document.querySelectorAll(".wide")].map(frame =>
        [frame.scrollWidth > frame.clientWidth, getComputedStyle(frame.querySelector(".scrolls")).visibility]); }"""
    )


def test_a_table_says_that_it_scrolls_where_it_does_and_only_there(page):
    for width, expected in ((1280, [False, True]), (400, [True, True]), (2600, [False, True])):
        page.set_viewport_size({"width": width, "height": 900})
        assert said(page) == [[scrolls, "visible" if scrolls else "hidden"] for scrolls in expected], width


def test_the_first_column_stays_in_sight(page):
    page.set_viewport_size({"width": 1280, "height": 900})
    at = """place => { const frame = document.querySelectorAll(".wide")[1]; frame.scrollLeft = place;
      const cell = frame.querySelector("tbody th").getBoundingClientRect();
      return [frame.scrollLeft > 0, Math.round(cell.left - frame.getBoundingClientRect().left)]; }"""
    assert page.evaluate(at, 0) == [False, 0]
    assert page.evaluate(at, 9999) == [True, 0]


def test_printed_no_table_is_cut_off(page):
    page.set_viewport_size({"width": A4_PX, "height": 1000})
    page.emulate_media(media="print")
    sides = page.evaluate(
        """[...document.querySelectorAll("td, th")].map(cell => [cell.getBoundingClientRect().right,
        cell.scrollWidth - cell.clientWidth])"""
    )
    assert all(right <= A4_PX + 1 and over <= 0 for right, over in sides)
    assert all(hint.is_hidden() for hint in page.locator(".scrolls").all())
    page.emulate_media(media="screen")


def test_a_picture_s_letters_can_be_read_on_a_narrow_screen():
    with drawing(height=2) as (axes, content):
        axes.set_xlabel("x")
        add_title(axes, "a sentence that is much longer than what has room above a picture in one line, so it is two")
        size_pt = axes.xaxis.label.get_size()
        assert axes.figure.get_suptitle().count("\n") == 1
    width_pt = float(re.search(rb'width="([0-9.]+)pt"', content.getvalue())[1])
    assert size_pt * (400 - 32) / width_pt >= 11  # px, at 400 px less the page's margins
