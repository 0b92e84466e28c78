import csv
import platform
from dataclasses import replace

import pytest

from benchmarks.measure import Comparison, Spread
from benchmarks.record import comparison_table, hardware, hardware_name, write_csv
from groundwork.pages.printing import text_table

COMPARISON = Comparison(
    "tiny, N=100", "memory", "MB", 2, ("lite", Spread(50.0, 40.0, 60.0, 3)), ("full", Spread(12345.0, 1e4, 2e4, 3))
)


@pytest.mark.parametrize(
    ("cores", "processor", "name"),
    [
        (2, "AMD EPYC", "2-core-amd-epyc"),
        (16, "AMD EPYC 7763 64-Core Processor", "16-core-amd-epyc-7763"),
        (8, "Intel(R) Xeon(R) Platinum 8488C", "8-core-intel-xeon-platinum-8488c"),
        (4, "Intel(R) Core(TM) i7-8550U CPU @ 1.80GHz", "4-core-intel-core-i7-8550u"),
        (4, "AMD64 Family 25 Model 33 Stepping 2, AuthenticAMD", "4-core-amd64-family-25-model-33"),
        (2, "", "2-core-cpu"),
    ],
)
def test_hardware_names(cores, processor, name):
    assert hardware_name(cores, processor) == name


def test_csv_has_the_hardware_in_its_name_and_both_sides_in_it(tmp_path):
    path = write_csv(tmp_path / "results", "lite", [COMPARISON])
    assert path == tmp_path / "results" / f"lite-{hardware()}.csv"
    rows = list(csv.DictReader(path.open()))
    assert [(row["side"], row["median"], row["ratio"]) for row in rows] == [
        ("lite", "50", "1"),
        ("full", "12345", "246.9"),  # 12345 / 50
    ]
    for row in rows:
        assert (row["benchmark"], row["setting"], row["metric"]) == ("lite", "tiny, N=100", "memory")
        assert (row["unit"], row["repeats"], row["threads"]) == ("MB", "3", "2")
        assert row["hardware"] == hardware()
        assert all(row[package] for package in ("python", "torch", "timm", "opencv-python", "pillow"))


def test_no_host_name_in_the_csv(tmp_path, monkeypatch):
    monkeypatch.setattr(platform, "node", lambda: "alices-laptop")
    path = write_csv(tmp_path, "lite", [COMPARISON])
    assert "alices-laptop" not in path.name + path.read_text()


def test_csv_is_whole_or_as_it_was(tmp_path, monkeypatch):
    path = write_csv(tmp_path, "lite", [COMPARISON])
    before = path.read_bytes()

    def full_disk(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("groundwork.files.os.fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_csv(tmp_path, "lite", [COMPARISON, COMPARISON])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_table_shows_both_sides_and_the_ratio():
    caption, header, first, second = text_table(comparison_table("memory of a task", [COMPARISON])).splitlines()
    assert caption == "memory of a task"
    assert header.split() == ["setting", "metric", "unit", "side", "median", "least", "most", "ratio"]
    assert first.split()[-5:] == ["lite", "50", "40", "60", "1"]
    assert second.split()[-5:] == ["full", "12345", "10000", "20000", "247"]
    starts = [line.index(word) for line, word in ((header, "side"), (first, "lite"), (second, "full"))]
    assert len(set(starts)) == 1
    assert len({len(line) for line in (header, first, second)}) == 1  # numbers are right-aligned


def test_a_target_is_next_to_the_ratio(tmp_path):
    bars = [replace(COMPARISON, at_most=at_most) for at_most in (247.0, 246.0)]
    lines = text_table(comparison_table("memory of a task", [*bars, COMPARISON])).splitlines()
    assert lines[1].split()[-2:] == ["ratio", "bar"]
    ends = [line.partition("at most")[2] for line in lines[2:]]
    assert ends == ["", " 247: met", "", " 246: missed", "", ""]
    rows = list(csv.DictReader(write_csv(tmp_path, "lite", [*bars, COMPARISON]).open()))
    assert [row["at_most"] for row in rows] == ["", "247", "", "246", "", ""]
    assert "at_most" not in write_csv(tmp_path, "lite", [COMPARISON]).read_text()  # without a target
