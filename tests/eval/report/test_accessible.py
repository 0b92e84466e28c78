"""The page in a real browser, checked by axe-core: no accessibility violations, wide or narrow."""

import re

import pytest

from eval.leaderboard import leaderboard, leaderboard_html
from eval.report import write_report


@pytest.mark.parametrize("width_px", [1100, 500])
def test_a_report_with_everything_breaks_no_rule(tmp_path, axe, full_card, predicted, thumbnails, width_px):
    write_report(full_card, tmp_path, predicted=predicted, thumbnails=thumbnails)
    kept, broken = axe((tmp_path / "report.html").read_text(), width_px)
    assert broken == []
    # rules that were applied: names of images and regions, contrast, tables, headings, landmarks, keyboard
    assert {"image-alt", "color-contrast", "region", "heading-order", "link-name", "td-headers-attr"} <= kept


def test_hostile_names_break_no_rule(tmp_path, axe, hostile):
    card, predicted = hostile
    write_report(card, tmp_path, predicted=predicted)
    assert axe((tmp_path / "report.html").read_text())[1] == []


@pytest.mark.parametrize("width_px", [1100, 500])
def test_a_leaderboard_breaks_no_rule(axe, card, width_px):
    assert axe(leaderboard_html(leaderboard([("mine", card)])), width_px)[1] == []


def test_a_page_that_is_not_accessible_is_found_out(tmp_path, axe, card):
    write_report(card, tmp_path)
    page = (tmp_path / "report.html").read_text()
    broken = re.sub(r' alt="[^"]*"', "", page).replace('<html lang="en">', "<html>")
    broken = broken.replace(".headline strong {", ".headline strong { color: #ccc;")
    assert {rule for rule, _ in axe(broken)[1]} == {"image-alt", "html-has-lang", "color-contrast"}
