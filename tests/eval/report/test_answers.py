"""What reports show next to an accuracy, and about a personal file's answers."""

import re
from xml.etree import ElementTree

import pytest

from eval.formats.answers import AnswersCurve
from eval.report import compare_table, scorecard_text
from eval.report.answers import NOT_ESTIMATED, PROMISED_NOTE, curve_finding, curve_table
from eval.score import score


@pytest.fixture
def answered_card(task_set, answered, curve_of):
    return score(task_set, answered, curve=curve_of(score(task_set, answered)))


@pytest.fixture
def unpromised(answered_card, curve_of):
    """A personal file of two objects, which can't promise anything about other objects."""
    return answered_card.model_copy(update={"answers_curve": curve_of(answered_card, alarms=False)})


def percent(share, digits=1):
    return f"{100 * share:.{digits}f}"


def test_chance_and_calibration_error_stand_beside_the_headline(tmp_path, card, page_of):
    page = page_of(card, tmp_path)
    (headline,) = [attributes for attributes in page.all("p") if attributes.get("class") == "headline"]
    assert headline
    for text in (page.whole_text, (tmp_path / "report.md").read_text().replace("\\", ""), scorecard_text(card)):
        assert f"Chance is {percent(card.overall.chance, 2)} %" in text
        assert f"calibration error (ECE) is {percent(card.overall.ece, 2)} %" in text


def test_a_scorecard_of_an_earlier_release_is_reported_without_them(tmp_path, card, page_of):
    old = card.model_copy(update={"overall": card.overall.model_copy(update={"chance": None, "ece": None})})
    for text in (page_of(old, tmp_path).whole_text, scorecard_text(old), compare_table(old, old)):
        assert "hance" not in text
        assert "ECE" not in text
    assert "ece" not in (tmp_path / "overall.csv").read_text()


def test_answers_are_reported_of_personal_files_alone(tmp_path, card, answered_card, page_of):
    answers = answered_card.overall.answers
    page = page_of(answered_card, tmp_path / "personal")
    words = page.words("td") + page.words("th")
    for name, share in (("right", answers.right), ("wrong", answers.wrong), ("none of these", answers.none)):
        assert words.count(name) == 1
        assert percent(share) in words
        assert re.search(rf"^{name} +{percent(share)}$", scorecard_text(answered_card), re.MULTILINE)
    assert re.search(rf'^with a "maybe".* {percent(answers.unsure)}$', scorecard_text(answered_card), re.MULTILINE)
    for text in (page_of(card, tmp_path / "other").whole_text, scorecard_text(card)):
        assert "none of these" not in text
        assert "maybe" not in text
    assert not list((tmp_path / "other").glob("answers*"))


def test_the_curve_says_what_is_promised_and_what_was_got(tmp_path, answered_card, page_of):
    curve = answered_card.answers_curve
    page = page_of(answered_card, tmp_path)
    alt = page.all("img")[0]["alt"]
    assert alt == curve_finding(curve)
    held = curve.points[curve.chosen]
    assert f"careful, has {percent(held.answers.right)} % right at {percent(held.false_alarms)} % false alarms" in alt
    assert f"{percent(curve.points[-1].answers.right)} % right at {percent(curve.points[-1].false_alarms)} %" in alt
    for text in (page.whole_text, scorecard_text(answered_card)):
        assert PROMISED_NOTE in text
    picture = ElementTree.fromstring((tmp_path / "answers_curve.svg").read_bytes())
    assert picture.tag.endswith("svg")


def test_the_table_shows_every_fifth_aim_and_the_one_in_use(answered_card):
    curve = answered_card.answers_curve
    rows = curve_table(curve).cells
    assert [row[0] for row in rows] == ["1.0", *(f"{aim}.0" for aim in range(5, 51, 5))]
    assert [row[0] for row in rows if row[-1] == "yes"] == ["20.0"]
    moved = curve_table(AnswersCurve(strictness="x", chosen=22, points=curve.points)).cells
    assert [row[0] for row in moved if row[-1] == "yes"] == ["23.0"]


def test_without_promised_false_alarms_there_is_no_picture_and_it_says_why(tmp_path, unpromised, page_of):
    page = page_of(unpromised, tmp_path)
    assert NOT_ESTIMATED in page.whole_text
    assert not (tmp_path / "answers_curve.svg").exists()
    assert (tmp_path / "answers_curve.csv").is_file()
    assert {row[2] for row in curve_table(unpromised.answers_curve).cells} == {"-"}


def test_a_curve_that_an_earlier_report_left_goes(tmp_path, card, answered_card, page_of):
    page_of(answered_card, tmp_path)
    page_of(card, tmp_path)
    assert not list(tmp_path.glob("answers*"))
