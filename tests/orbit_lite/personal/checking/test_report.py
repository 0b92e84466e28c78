"""The report of a check: files, words and tables agree, pages are accessible, and files are complete or absent."""

import csv
import dataclasses
import io
import json
import re

import pytest

from groundwork.errors import UsageError
from groundwork.lock import only_run
from groundwork.pages.printing import text_table
from orbit_lite.personal.checking.report import check_sections, write_check
from orbit_lite.personal.checking.tables import check_csvs, confusion_table, curve_table, objects_table
from orbit_lite.personal.checking.words import check_text, curve_finding, headline
from orbit_lite.personal.promises import estimate_lines, rejection_lines
from orbit_lite.personal.recognizer import SupportSet

FILES = {
    *("check.html", "check.md", "check_learning_curve.svg"),
    *("check.json", "check_objects.csv", "check_videos.csv", "check_confusion.csv", "check_learning_curve.csv"),
}
HOSTILE = {"bag": '"><script>alert(1)</script>', "keys": "| a | `b` |\n# c", "mug": "$\\frac{a}{$ \x1b[31m\u202egnp"}


@pytest.fixture(scope="session")
def checked(check_support):
    return lambda support, **options: check_support(
        support, **{"draws": 3, "notes": ["left out, can't be read: x.mp4"], **options}
    )


@pytest.fixture
def found(make_support, checked):
    """A check with right and wrong answers, a single video, unequal numbers of videos, and two badly filmed ones."""
    parts = make_support({"bag": 4, "keys": 1, "mug": 3, "watch": 2}, apart=0.5, noise=0.6).parts()
    dark = [
        (dataclasses.replace(video, issues=("underexposed",) if place in (0, 1) else ()), features)
        for place, (video, features) in enumerate(parts)
    ]
    return checked(SupportSet.of(dark))


@pytest.fixture
def hostile(make_support, checked):
    """Names that could inject code into a page, a table or a terminal."""
    parts = make_support({"bag": 3, "keys": 3, "mug": 3}, apart=0.3).parts()
    renamed = SupportSet.of((dataclasses.replace(v, object=HOSTILE[v.object]), features) for v, features in parts)
    return checked(renamed, user="<img src=x>\x1b", notes=["<b>\n"], facts={"<i>": "<u>"})


def page(report, folder):
    return write_check(report, folder).read_text()


def read_csv(report, name):
    return list(csv.DictReader(io.StringIO(check_csvs(report)[name])))


def test_a_folder_holds_the_page_its_markdown_and_the_numbers(found, tmp_path):
    assert write_check(found, tmp_path / "new" / "out") == tmp_path / "new" / "out" / "check.html"
    assert {path.name for path in (tmp_path / "new" / "out").iterdir()} == FILES


def test_the_same_check_gives_the_same_bytes(found, tmp_path):
    for name in ("a", "b"):
        write_check(found, tmp_path / name)
    write_check(found, tmp_path / "a")  # also when it overwrites itself
    for name in FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_the_page_says_what_the_terminal_says(found, tmp_path):
    text = check_text(found)
    written = page(found, tmp_path)
    promised = [*estimate_lines(found.estimate, {})[1:], *rejection_lines(found.rejection, {})]
    for output in (*promised, curve_finding(found.curve)):
        assert output in text and output in written.replace("&#x27;", "'")
    assert all(output in written for output in headline(found))
    for thing in found.objects:
        assert thing.advice.text in text and thing.advice.text in written.replace("&#x27;", "'")
    assert "can&#x27;t be read: x.mp4" in written and "can't be read: x.mp4" in text


def test_the_page_loads_nothing_external_and_contains_no_filmed_pictures(found, tmp_path):
    written = page(found, tmp_path)
    assert not re.search(r"(src|href)=\"(?!data:image/svg|#|check_)", written)
    assert "<script" not in written and "jpeg" not in written


def test_the_figure_states_its_finding_and_has_its_data_beside_it(found, tmp_path):
    written = page(found, tmp_path)
    (alt,) = re.findall(r'<img [^>]*alt="([^"]*)"', written)
    means = found.curve.accuracy().mean(axis=1)
    assert alt.startswith(
        f"Learning curve. With videos held out one at a time, {100 * means[0]:.0f} % of frames were recognized with 1 "
    )
    assert '<a href="check_learning_curve.csv">' in written
    assert (tmp_path / "check_learning_curve.svg").read_bytes().startswith(b"<?xml")


def test_tables_and_csvs_agree_with_the_check(found):
    objects = {row["object"]: row for row in read_csv(found, "check_objects.csv")}
    table = {row[0]: row for row in objects_table(found).rows}
    for thing in found.objects:
        row, shown = objects[thing.object], table[thing.object]
        if thing.accuracy is None:
            assert (row["frame_accuracy"], row["video_accuracy"], row["video_accuracy_low"]) == ("", "", "")
            assert set(shown[3:]) == {"-"}
            continue
        assert float(row["frame_accuracy"]) == pytest.approx(thing.accuracy, abs=5e-5)
        assert float(row["video_accuracy"]) == pytest.approx(thing.recognized / len(thing.held_out), abs=5e-5)
        assert 0 <= float(row["video_accuracy_low"]) < float(row["video_accuracy_high"]) <= 1
        assert shown[3] == f"{100 * thing.accuracy:.0f}" and shown[5] == f"{thing.recognized} of {thing.videos}"
    videos = read_csv(found, "check_videos.csv")
    assert [(row["video"], int(row["right"])) for row in videos] == [(v.video, v.right) for v in found.held_out]
    confusion = read_csv(found, "check_confusion.csv")
    assert [int(row["frames"]) for row in confusion] == [count for row in found.confusion for count in row]
    assert len(confusion_table(found).rows) == 3  # no video of the keys was held out


def test_check_json_has_the_numbers_that_the_page_shows(found, tmp_path):
    write_check(found, tmp_path)
    numbers = json.loads((tmp_path / "check.json").read_text())["users"]["alice"]
    estimate, point = found.estimate, found.rejection.point
    assert numbers["accuracy"] == estimate.accuracy and numbers["chance"] == 1 / 4
    assert numbers["interval"] == {"low": estimate.low, "high": estimate.high}
    assert (numbers["misses"], numbers["false_alarms"]) == (point.misses, point.false_alarms)
    assert (numbers["ece"], numbers["auroc"]) == (estimate.ece, found.rejection.auroc)


def test_the_curve_has_rows_for_all_objects_and_for_each(found):
    rows = read_csv(found, "check_learning_curve.csv")
    whole = [row for row in rows if not row["object"]]
    assert [int(row["videos_taught"]) for row in whole] == [1, 2, 3]
    assert [float(row["mean"]) for row in whole] == pytest.approx(found.curve.accuracy().mean(axis=1), abs=5e-5)
    assert all(float(row["lowest"]) <= float(row["mean"]) <= float(row["highest"]) for row in rows)
    assert [len([row for row in rows if row["object"] == name]) for name in ("bag", "keys", "mug", "watch")] == [
        *(3, 0, 2, 1)
    ]
    table = curve_table(found.curve)
    assert [row[0] for row in table.rows] == ["bag", "mug", "watch", "All objects"]
    assert all(len(row) == len(table.columns) for row in table.rows) and table.rows[2][2:] == ("-", "-")


def test_without_a_curve_its_files_are_gone_and_the_page_says_why(found, make_support, checked, tmp_path):
    write_check(found, tmp_path)
    without = checked(make_support({"bag": 3, "mug": 3}), draws=0)
    assert without.no_curve in page(without, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == FILES - {
        "check_learning_curve.csv",
        "check_learning_curve.svg",
    }
    assert without.no_curve in check_text(without)


def test_hostile_names_are_shown_as_text(hostile, tmp_path):
    text, written = check_text(hostile), page(hostile, tmp_path)
    assert "\x1b" not in text and "\u202e" not in text and "\\x1b" in text
    assert "<script" not in written and "<img src=x" not in written and "\x1b" not in written
    assert len(text.splitlines()) < 25  # no name starts a new line
    assert "\n# c" not in (tmp_path / "check.md").read_text()
    for section in check_sections(hostile):
        assert section.name.isalpha()
    assert {row["object"] for row in read_csv(hostile, "check_objects.csv")} == set(HOSTILE.values())


def test_a_file_instead_of_the_folder_is_not_changed(found, tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(UsageError, match="out: a file; --out takes a folder"):
        write_check(found, tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"


def test_two_runs_do_not_write_into_one_folder(found, tmp_path):
    with only_run(tmp_path), pytest.raises(UsageError, match="another run is writing here"):
        write_check(found, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_no_page_and_no_partial_file(found, small_disk):
    disk = small_disk(24)  # KB: some of the CSVs and the picture fit
    with pytest.raises(OSError):
        write_check(found, disk / "out")
    left = {path.name: path.read_bytes() for path in (disk / "out").iterdir()}
    assert "check.html" not in left and left.keys() < FILES
    for name, content in check_csvs(found).items():
        assert left.get(name, content.encode()) == content.encode()


@pytest.mark.parametrize("width_px", [1100, 500])
def test_the_page_breaks_no_rule_of_accessibility(found, axe, tmp_path, width_px):
    kept, broken = axe(page(found, tmp_path), width_px)
    assert broken == []
    assert {"image-alt", "color-contrast", "region", "heading-order", "link-name", "td-headers-attr"} <= kept


def test_hostile_names_break_no_rule_of_accessibility(hostile, axe, tmp_path):
    assert axe(page(hostile, tmp_path))[1] == []


def test_every_table_has_a_header_for_each_row(found):
    for section in check_sections(found):
        for block in section.blocks:
            if hasattr(block, "columns"):
                assert all(len(row) == len(block.columns) and row[0] for row in block.rows)
                assert text_table(block).isascii()
