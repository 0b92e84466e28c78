"""The tables of docs/scale.md are what the committed measurement gives."""

import re
from pathlib import Path

import pytest

from benchmarks.scale_table import ORBIT, Population, Rates, app, measured_table, needs_table, shards_table
from groundwork.pages.printing import markdown_table

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "docs/scale.md").read_text(encoding="utf-8")
RATES = Rates(extract_s=0.01, quality_s=0.002, personalize_s=0.001, frame_bytes=20_000, personal_file_bytes=14e6)


def rows(table):
    return [dict(zip(table.headings, cells, strict=True)) for cells in table.cells]


def test_the_documents_tables_are_worked_out_from_the_file_it_names():
    (name,) = set(re.findall(r"benchmarks/results/scale-[a-z0-9-]+\.csv", DOCUMENT))
    rates = Rates.read(ROOT / name)
    for table in (measured_table(ROOT / name), needs_table(rates), shards_table(rates)):
        _, _, markdown = markdown_table(table).partition("\n\n")
        assert markdown in DOCUMENT, f"docs/scale.md: expected this table\n{markdown}"


def test_what_a_population_needs_by_hand():
    (row,) = rows(needs_table(RATES, [Population("made", 10, 100, 360_000)]))
    assert (row["frame tree, GB"], row["personal files, GB"]) == ("7.2", "0.14")  # 360,000 * 20 KB, 10 * 14 MB
    assert (row["extract, h"], row["quality, h"], row["personalize, h"]) == ("1", "0.2", "0.1")  # 100 frames/s: 1 h
    assert (row["hours per user"], row["GB per user"]) == ("0.13", "0.73")


def test_ten_times_the_users_need_ten_times_as_much():
    one, ten = needs_table(RATES, [app(1_000), app(10_000)]).rows
    assert ten[1:9] == pytest.approx([10 * value for value in one[1:9]])
    assert ten[9:] == pytest.approx(one[9:])


def test_shards_take_as_long_as_the_largest():
    one, four, many = shards_table(RATES, counts=(1, 4, 1000)).rows
    assert one[:2] == (1, ORBIT.videos) and one[2] == pytest.approx(ORBIT.frames * 0.01 / 3600)
    assert ORBIT.videos / 4 <= four[1] < ORBIT.videos / 4 * 1.1
    assert many[3] < 600  # the largest of 1,000 shards has more than twice the mean of 3.8 videos
    assert one[4] == 1 and four[4] > many[4]
