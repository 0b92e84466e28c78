"""A synthetic benchmark of three small sets, evaluated by the command."""

import csv
import shutil
from math import sqrt

import pytest
import yaml

from data_prep.tree.index import build_index
from eval.formats.records import read_scorecard
from groundwork.errors import UsageError
from orbit_lite.cli.parser import main
from orbit_lite.config import load_protocol
from orbit_lite.evaluation.suite import load_suite
from tests.orbit_lite.evaluation.made_images import make_images

FILES = ("sets.txt", "sets.md", "sets.csv", "sets.html")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """SETS with birds, signs and shapes, and a suite of these and one more."""
    root = tmp_path_factory.mktemp("suite")
    for name in ("birds", "signs", "shapes"):
        make_images(root / "sets" / name, sources=(name,), classes=6, count=6, size_px=224)
        build_index(root / "sets" / name)
    (root / "few.yaml").write_text("name: few\nepisodes: random\ntasks_per_user: 4\nmost_support: 12\nmost_way: 6\n")
    (root / "whole.yaml").write_text("name: whole\nepisodes: whole\ntasks_per_user: 1\nsupport: 12\n")
    groups = [
        {"part": "MD", "protocol": str(root / "few.yaml"), "tasks_per_user": 4, "sets": ["birds", "signs"]},
        {"part": "V", "group": "a", "protocol": str(root / "whole.yaml"), "tasks_per_user": 1, "sets": ["shapes"]},
        {"part": "V", "group": "b", "protocol": str(root / "whole.yaml"), "tasks_per_user": 1, "sets": ["absent"]},
    ]
    (root / "suite.yaml").write_text(yaml.safe_dump({"name": "made", "groups": groups}))
    return root


def evaluate(made, out, *more, data=None):
    command = ["evaluate", "--suite", str(made / "suite.yaml"), "--data", str(data or made / "sets"), "--out", str(out)]
    model = ["--model", "protonets", "--backbone", "tiny", "--weights", "random", "--workers", "0"]
    return main([*command, *model, *more])


@pytest.fixture(scope="module")
def out(made, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "out"
    assert evaluate(made, out) == 0
    return out


def rows(out):
    with (out / "sets.csv").open() as file:
        return {row["set"]: row for row in csv.DictReader(file)}


def test_each_set_has_its_own_run_and_its_row(out):
    found = rows(out)
    assert [*found] == ["birds", "signs", "shapes", "absent", "mean of MD", "mean of V", "mean of V, a", "mean of V, b"]
    for name, (n, unit) in {"birds": ("4", "tasks"), "signs": ("4", "tasks"), "shapes": ("24", "images")}.items():
        card = read_scorecard(out / name / "scorecard.json")
        part = card.overall.frame_accuracy.headline if unit == "tasks" else card.overall.frame_accuracy.per_video
        assert (found[name]["n"], found[name]["unit"]) == (n, unit)
        assert float(found[name]["accuracy"]) == pytest.approx(part.mean, abs=1e-4)
        assert float(found[name]["half_width"]) == pytest.approx(part.protocol_interval.half_width, abs=1e-4)
    assert found["absent"]["accuracy"] == ""


def test_means_are_over_the_evaluated_sets(out):
    found = rows(out)
    first, second = (float(found[name]["accuracy"]) for name in ("birds", "signs"))
    its_width, other_width = (float(found[name]["half_width"]) for name in ("birds", "signs"))
    assert float(found["mean of MD"]["accuracy"]) == pytest.approx((first + second) / 2, abs=1e-4)
    assert float(found["mean of MD"]["half_width"]) == pytest.approx(sqrt(its_width**2 + other_width**2) / 2, abs=1e-4)
    assert found["mean of V"]["accuracy"] == found["shapes"]["accuracy"]
    assert (found["mean of V, b"]["n"], found["mean of V, b"]["accuracy"]) == ("0", "")


def test_every_form_has_every_row(out):
    for name in FILES:
        text = (out / name).read_text()
        assert not [row for row in rows(out) if row not in text], name
        if name != "sets.csv":
            assert "Not evaluated: 1 set of 4: absent." in text
            assert "1 of 2 sets" in text


def test_finished_sets_are_skipped_and_missing_ones_evaluated(made, out, tmp_path, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    before = {path: path.stat().st_mtime_ns for path in copy.rglob("predictions.parquet")}
    shutil.rmtree(copy / "signs")
    for name in FILES:
        (copy / name).unlink()
    assert evaluate(made, copy) == 0
    assert "mean of MD" in capsys.readouterr().out
    for path, time in before.items():
        assert (path.stat().st_mtime_ns == time) == ("signs" not in path.parts)
    for name in FILES:
        assert (copy / name).read_bytes() == (out / name).read_bytes()


def test_fewer_tasks_of_each_set(made, tmp_path):
    assert evaluate(made, tmp_path / "out", "--tasks-per-user", "2") == 0
    assert [row["n"] for row in rows(tmp_path / "out").values()][:3] == ["2", "2", "24"]


def test_a_set_that_fails_does_not_stop_the_others(made, tmp_path, capsys):
    shutil.copytree(made / "sets", tmp_path / "sets")
    for place in range(2):
        shutil.rmtree(tmp_path / f"sets/birds/birds/class {place}")
    (tmp_path / "sets/birds/index.csv").unlink()
    assert evaluate(made, tmp_path / "out", data=tmp_path / "sets") == 1
    said = capsys.readouterr().err
    assert "failed: birds; the results of the others are in" in said
    assert rows(tmp_path / "out")["birds"]["accuracy"] == ""
    assert rows(tmp_path / "out")["signs"]["accuracy"]


def test_if_every_set_fails_nothing_is_said_of_others_and_the_table_stays(made, out, capsys):
    before = (out / "sets.txt").read_bytes()
    assert evaluate(made, out, "--seed", "5") == 1
    said = capsys.readouterr().err
    assert said.endswith("3 sets failed: birds, signs, shapes\n") and "holds another run" in said
    assert (out / "sets.txt").read_bytes() == before


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--set", "way=3"], "--set can't be used with --suite"),
        (["--tasks", "3"], "--tasks can't be used with --suite"),
        (["--filter-stay", "0.5"], "--filter-stay can't be used with --suite"),
        (["--plain"], "--plain can't be used with --suite"),
    ],
)
def test_options_that_do_not_go_with_a_suite(made, tmp_path, capsys, more, said):
    assert evaluate(made, tmp_path / "out", *more) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out" / "birds").exists()


def test_a_folder_without_any_of_its_sets(made, tmp_path, capsys):
    (tmp_path / "sets" / "brids").mkdir(parents=True)
    assert evaluate(made, tmp_path / "out", data=tmp_path / "sets") == 2
    assert "holds no set of made" in capsys.readouterr().err
    (tmp_path / "sets" / "signs").mkdir()
    evaluate(made, tmp_path / "out", data=tmp_path / "sets")
    assert "skipped: brids (did you mean 'birds'?)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        ([{"part": "a", "protocol": "p", "tasks_per_user": 1, "sets": ["x", "x"]}], "set x is listed twice"),
        ([{"part": "a", "protocol": "p", "tasks_per_user": 1, "sets": ["../x"]}], "sets"),
        ([], "no sets"),
    ],
)
def test_invalid_suites(tmp_path, groups, said):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"name": "mine", "groups": groups}))
    with pytest.raises(UsageError, match=said):
        load_suite(str(path))


def test_vtab_md_has_the_published_sets_and_numbers():
    suite = load_suite("vtab-md")
    sizes = {(group.part, group.group): (len(group.sets), group.tasks_per_user) for group in suite.groups}
    assert sizes == {
        ("MD-v2", ""): (8, 600),
        ("VTAB-v2", "natural"): (6, 1),
        ("VTAB-v2", "specialized"): (4, 1),
        ("VTAB-v2", "structured"): (8, 1),
    }
    assert {group.part: load_protocol(group.protocol).name for group in suite.groups} == {
        "MD-v2": "meta-dataset",
        "VTAB-v2": "vtab-1000",
    }
