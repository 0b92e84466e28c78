"""A page of sections in Markdown and HTML: headings in order, alt text for each picture."""

import re
from xml.etree import ElementTree

import pytest

from groundwork.pages.blocks import Figure, Heading, Paragraph, Section, Thumbnail, Thumbnailed
from groundwork.pages.drawing import LONGEST_NAME, drawing, figure_as_svg, shortened
from groundwork.pages.markdown import markdown_page
from groundwork.pages.page import html_page
from groundwork.pages.table import Table

TABLE = Table("Users", ("user", "share"), (("ann", 0.5),))
FIGURE = Figure("picture.svg", b"<svg/>", "Bars fall from 1 to 0.", "Shares.", "shares.csv")
BLOCKS = (
    Paragraph("of frames <right>", strong="50 %", kind="headline"),
    Heading("Ann & Bob"),
    TABLE,
    FIGURE,
    Thumbnailed((Thumbnail(b"\xff\xd8", "A frame of a mug", "Frame 1"),)),
)
SECTIONS = [Section("first", "The first", BLOCKS), Section("second", "The second", (Paragraph("words"),))]


@pytest.fixture
def page():
    """The body parsed as XML, after its image tags are closed."""
    body = re.search(r"<body>.*</body>", html_page("Title", SECTIONS), re.DOTALL)
    return ElementTree.fromstring(re.sub(r"(<img [^>]*)>", r"\1/>", body[0]))


def test_html_declares_its_language_and_loads_nothing():
    text = html_page("A <title>", SECTIONS)
    assert text.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert "<title>A &lt;title&gt;</title>" in text
    assert not re.search(r"<script|<link|@import|url\(|https?:", text)


def test_headings_are_in_order_and_links_lead_to_their_sections(page):
    headings = [(element.tag, element.text) for element in page.iter() if re.fullmatch("h[1-6]", element.tag)]
    assert headings == [("h1", "Title"), ("h2", "The first"), ("h3", "Ann & Bob"), ("h2", "The second")]
    names = {element.get("id") for element in page.iter("h2")}
    assert {link.get("href") for link in page.find("main/nav").iter("a")} == {f"#{name}" for name in names}
    assert {section.get("aria-labelledby") for section in page.iter("section")} == names


def test_every_picture_has_alt_text_and_data(page):
    assert [image.get("alt") for image in page.iter("img")] == ["Bars fall from 1 to 0.", "A frame of a mug"]
    assert 'href="shares.csv"' in html_page("", SECTIONS)


def test_markdown_has_the_same_content():
    text = markdown_page("A *title*", SECTIONS)
    assert re.findall(r"^#+ .*", text, re.MULTILINE) == [
        r"# A \*title\*",
        "## The first",
        r"### Ann &amp; Bob",
        "## The second",
    ]
    assert r"**50 %** of frames &lt;right&gt;" in text
    assert "![Bars fall from 1 to 0.](picture.svg)" in text and "[shares.csv](shares.csv)" in text
    assert "| ann | 0.5 |" in text and "- Frame 1" in text


@pytest.mark.parametrize("alt", ["", " \n"])
def test_a_picture_without_alt_text_is_rejected(alt):
    with pytest.raises(ValueError, match=r"picture\.svg: expected alt text"):
        Figure("picture.svg", b"", alt, "", "")
    with pytest.raises(ValueError, match="Frame 1: expected alt text"):
        Thumbnail(b"", alt, "Frame 1")


def test_drawings_are_the_same_bytes_for_the_same_numbers():
    def draw() -> bytes:
        with drawing(height=2) as (axes, content):
            axes.plot([1, 3, 2])
            axes.set_title("日本")  # the font lacks this script; no warning
        return content.getvalue()

    assert draw() == draw()
    assert ElementTree.fromstring(draw()).tag == "{http://www.w3.org/2000/svg}svg"


def test_a_figure_has_the_requested_size():
    with figure_as_svg(width=5, height=2) as (figure, content):
        figure.subplots(1, 2)
    root = ElementTree.fromstring(content.getvalue())
    assert (root.get("width"), root.get("height")) == ("360pt", "144pt")  # 72 points per inch


def test_long_names_are_shortened_in_pictures():
    assert shortened("x" * LONGEST_NAME) == "x" * LONGEST_NAME
    assert shortened("x" * (LONGEST_NAME + 1)) == "x" * (LONGEST_NAME - 1) + "…"
