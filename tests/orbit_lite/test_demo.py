"""The demo as a newcomer runs it, but for its last epochs: the one place where learning itself is tested."""

import json

import pytest

from orbit_lite.demo import run_demo

EPOCHS = 2  # of 5: enough to see that it learns
FILES = ("tasks.jsonl", "predictions.parquet", "scorecard.json", "report.html", "report.md")


def frame_accuracy(folder):
    card = json.loads((folder / "scorecard.json").read_text())
    return card["overall"]["frame_accuracy"]["per_video"]["mean"]


@pytest.mark.slow
def test_the_demo_learns_what_carries_over_to_new_users(tmp_path, capsys):
    run_demo(tmp_path / "demo", settings=[f"epochs={EPOCHS}"])
    printed = capsys.readouterr().out
    for name in ("before", "after"):
        assert all((tmp_path / "demo" / name / file).is_file() for file in FILES)
        assert str(tmp_path / "demo" / name / "report.html") in printed
    before, after = (frame_accuracy(tmp_path / "demo" / name) for name in ("before", "after"))
    assert after > 0.6  # chance is 0.2 with 5 objects a user; the aim is 0.65, measured values are in the README
    assert after > before + 0.2

    # Once more: everything is there, so nothing is done again, and the end is the same.
    run_demo(tmp_path / "demo", settings=[f"epochs={EPOCHS}"])
    again = capsys.readouterr().out
    table = "before and after meta-training:\n"
    assert again.split(table)[1].split("done in")[0] == printed.split(table)[1].split("done in")[0]
