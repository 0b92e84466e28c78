"""The demo as a newcomer runs it: five minutes, and the one place where learning itself is tested."""

import json

import pytest

from orbit_lite.cli import main

FILES = ("tasks.jsonl", "predictions.parquet", "scorecard.json", "report.html", "report.md")


def frame_accuracy(folder):
    card = json.loads((folder / "scorecard.json").read_text())
    return card["overall"]["frame_accuracy"]["per_video"]["mean"]


@pytest.mark.slow
def test_the_demo_learns_what_carries_over_to_new_users(tmp_path, capsys):
    assert main(["demo", "--out", str(tmp_path / "demo")]) == 0
    printed = capsys.readouterr().out
    for name in ("before", "after"):
        assert all((tmp_path / "demo" / name / file).is_file() for file in FILES)
        assert str(tmp_path / "demo" / name / "report.html") in printed
    before, after = (frame_accuracy(tmp_path / "demo" / name) for name in ("before", "after"))
    assert after > 0.6  # chance is 0.2 with 5 objects a user; the aim is 0.65, measured values are in the README
    assert after > before + 0.2

    # Once more: everything is there, so nothing is done again, and the end is the same.
    assert main(["demo", "--out", str(tmp_path / "demo")]) == 0
    again = capsys.readouterr().out
    table = "before and after meta-training:\n"
    assert again.split(table)[1].split("done in")[0] == printed.split(table)[1].split("done in")[0]
