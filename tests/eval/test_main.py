"""`python -m eval` as a user runs it, in a separate process without torch."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from eval.__main__ import main
from eval.formats.records import read_scorecard, tasks_fingerprint, write_predictions, write_tasks
from eval.leaderboard import leaderboard, leaderboard_text
from eval.score import score
from groundwork.lock import only_run

ROOT = Path(__file__).resolve().parents[2]

# None in sys.modules does not work, because scipy and others look modules up and fail.
BLOCKED = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "torchvision", "timm"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocked())
"""


@pytest.fixture
def run(tmp_path, task_set, predictions):
    write_tasks(tmp_path / "tasks.jsonl", task_set)
    write_predictions(tmp_path / "predictions.parquet", predictions, metadata={"model": "made"})
    return tmp_path


def arguments(run, **other):
    chosen = {
        "tasks": run / "tasks.jsonl",
        "predictions": run / "predictions.parquet",
        "out": run / "scorecard.json",
    } | other
    return ["score", *(part for name, path in chosen.items() for part in (f"--{name}", str(path)))]


def test_score_and_report_without_torch(run, task_set, predictions):
    code = BLOCKED + (
        "from eval.__main__ import main\n"
        f"assert main({arguments(run)!r}) == 0\n"
        f"assert main(['report', {str(run)!r}]) == 0\n"
        "import importlib, pkgutil, eval as package\n"
        "for module in pkgutil.walk_packages(package.__path__, 'eval.'):\n"
        "    importlib.import_module(module.name)\n"
        "assert not {'torch', 'torchvision', 'timm', 'data_prep', 'orbit_lite'} & set(sys.modules)\n"
        "try: import torch\n"
        "except ModuleNotFoundError: print('blocked')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "blocked"
    assert read_scorecard(run / "scorecard.json") == score(task_set, predictions, provenance={"model": "made"})
    assert (run / "report.html").read_text().startswith("<!DOCTYPE html>")
    headline = json.loads((run / "scorecard.json").read_text())["overall"]["frame_accuracy"]["per_video"]["mean"]
    assert f"{100 * headline:.2f}" in done.stdout


def test_the_tests_of_eval_run_without_torch_and_video_readers():
    """All of their files are imported, and one of them runs."""
    heavy = '{"torch", "torchvision", "timm"}'
    assert heavy in BLOCKED
    options = ["tests/eval", "-q", "-x", "-p", "no:cacheprovider", "-k", "test_confusion"]
    code = BLOCKED.replace(heavy, '{"torch", "torchvision", "timm", "av", "cv2", "orbit_lite"}') + (
        f"import pytest\nraise SystemExit(pytest.main({options!r}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\b[1-9]\d* passed", done.stdout), done.stdout


def test_module_runs_and_says_how_it_is_used():
    done = subprocess.run(
        [sys.executable, "-m", "eval", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for verb in ("score", "check", "compare", "leaderboard", "results", "report"):
        assert f"\n    {verb}" in done.stdout
    assert done.stdout.isascii()  # no box drawing, for screen readers


def test_help_answers_before_anything_heavy_is_imported():
    code = (
        "import sys; from eval.__main__ import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'pandas', 'numpy', 'pydantic', 'matplotlib', 'pyarrow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("damage", "code", "expected"),
    [
        (lambda run: (run / "tasks.jsonl").unlink(), 2, "no such file"),
        (lambda run: (run / "predictions.parquet").unlink(), 2, "no such file"),
        (lambda run: (run / "tasks.jsonl").write_text("{"), 1, r"tasks.jsonl:1: "),
        (lambda run: (run / "predictions.parquet").write_bytes(b"PAR1"), 1, "not a complete parquet file"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(run, capsys, damage, code, expected):
    damage(run)
    assert main(arguments(run)) == code
    error = capsys.readouterr().err
    assert error.startswith("eval: ")
    assert expected in error
    assert error.count("\n") == 1
    assert not (run / "scorecard.json").exists()


def test_predictions_that_are_not_whole_are_refused(run, predictions, capsys):
    write_predictions(run / "predictions.parquet", predictions.iloc[3:], metadata={})
    assert main(arguments(run)) == 1
    assert "missing" in capsys.readouterr().err
    assert not (run / "scorecard.json").exists()


def test_predictions_made_for_other_tasks_are_refused_though_their_frames_fit(run, task_set, predictions, capsys):
    path = run / "predictions.parquet"
    write_predictions(path, predictions, metadata={"tasks_fingerprint": tasks_fingerprint(task_set)})
    assert main(arguments(run)) == 0
    earlier = (run / "scorecard.json").read_bytes()
    write_predictions(path, predictions, metadata={"tasks_fingerprint": "of others"})
    assert main(arguments(run)) == 1
    assert "made for other tasks" in capsys.readouterr().err
    assert (run / "scorecard.json").read_bytes() == earlier


def test_check_lists_every_fault(run, predictions, capsys):
    assert main(["check", *arguments(run)[1:-2]]) == 0
    assert "complete and valid" in capsys.readouterr().out
    wrong = predictions.assign(prediction=99).assign(user="P9")
    write_predictions(run / "predictions.parquet", wrong, metadata={})
    assert main(["check", *arguments(run)[1:-2]]) == 1
    found = capsys.readouterr()
    assert len(found.out.splitlines()) == 4 + 1  # users are missing, and one is unknown
    assert found.err == f"eval: {run / 'predictions.parquet'}: 5 faults\n"


def test_results_out_and_scored_again_with_and_without_tasks(run, capsys):
    assert main(arguments(run)) == 0
    path = run / "results.json"
    assert main(["results", *arguments(run, out=path)[1:]]) == 0
    assert main(arguments(run, predictions=path, out=run / "again.json")) == 0
    assert main(["check", "--predictions", str(path)]) == 0
    assert main(["score", "--predictions", str(path), "--out", str(run / "alone.json")]) == 0
    assert "can't be checked" in capsys.readouterr().out
    first, again, alone = (read_scorecard(run / name) for name in ("scorecard.json", "again.json", "alone.json"))
    assert again.overall == first.overall.model_copy(update={"ece": None})  # the format has no confidences
    assert first.overall.ece is not None
    assert again.tasks_fingerprint == first.tasks_fingerprint
    assert {(row.user, row.video, row.frame_accuracy) for row in alone.per_video} == {
        (row.user, row.video, row.frame_accuracy) for row in first.per_video
    }
    assert (alone.protocol, alone.provenance) == ("results-2023", {"results file": "results.json", "form": "2023"})
    assert "can't be checked" in alone.notes[-1]
    assert main(["score", "--predictions", str(run / "predictions.parquet"), "--out", str(run / "none.json")]) == 2
    assert "give --tasks" in capsys.readouterr().err
    assert not (run / "none.json").exists()


@pytest.fixture
def with_macs(run):
    """A results.json with the MACs of each task: 0, 10, 20, …"""
    path = run / "results.json"
    assert main(["results", *arguments(run, out=path)[1:]]) == 0
    content = json.loads(path.read_text())
    for place, entry in enumerate(task for tasks in content.values() for task in tasks):
        entry["task_macs_to_personalise"] = 10 * place
    path.write_text(json.dumps(content))
    return path


def test_macs_of_a_results_file_reach_the_scorecard_and_come_out_again(run, with_macs, capsys):
    assert main(arguments(run, predictions=with_macs)) == 0
    card = read_scorecard(run / "scorecard.json")
    assert card.cost.macs_to_personalize_thop.mean == 5 * (card.counts.tasks - 1)
    out = arguments(run, out=run / "again.json", scorecard=run / "scorecard.json")
    assert main(["results", *out[1:]]) == 0
    assert json.loads((run / "again.json").read_text()) == json.loads(with_macs.read_text())
    assert main(["results", *out[1:], "--form", "2022"]) == 2
    assert "can't hold MACs" in capsys.readouterr().err


def test_macs_of_other_tasks_or_none_at_all_are_refused(run, make_tasks, make_predictions, with_macs, capsys):
    assert main(arguments(run)) == 0
    out = arguments(run, out=run / "out.json", scorecard=run / "scorecard.json")
    assert main(["results", *out[1:]]) == 2
    assert "lacks the MACs of each task" in capsys.readouterr().err
    tasks = make_tasks(9)
    write_tasks(run / "tasks.jsonl", tasks)
    write_predictions(run / "predictions.parquet", make_predictions(tasks), metadata={})
    assert main(["results", *out[1:]]) == 2
    assert "this scorecard is of other tasks" in capsys.readouterr().err
    assert not (run / "out.json").exists()


def test_compare_takes_files_and_run_folders_and_writes(run, capsys):
    assert main(arguments(run)) == 0
    other = run / "other"
    assert main(arguments(run, out=other / "scorecard.json")) == 0
    capsys.readouterr()
    assert main(["compare", str(run), str(other / "scorecard.json")]) == 0
    assert f"other is the same as {run.name}" in capsys.readouterr().out
    for name in ("comparison.txt", "comparison.md", "comparison.json"):
        assert main(["compare", str(run), str(other), "--out", str(run / name)]) == 0
    assert json.loads((run / "comparison.json").read_text())["kind"] == "comparison"
    assert (run / "comparison.md").read_text().startswith("# ")


def test_compare_refuses_other_tasks_in_one_line(run, make_tasks, make_predictions, capsys):
    assert main(arguments(run)) == 0
    tasks = make_tasks(9)
    write_tasks(run / "others.jsonl", tasks)
    write_predictions(run / "others.parquet", make_predictions(tasks), metadata={})
    others = arguments(run, tasks=run / "others.jsonl", predictions=run / "others.parquet", out=run / "others.json")
    assert main(others) == 0
    capsys.readouterr()
    assert main(["compare", str(run), str(run / "others.json"), "--out", str(run / "c.json")]) == 2
    assert "have different tasks" in capsys.readouterr().err
    assert main(["compare", str(run), str(run), "--out", str(run / "c.pdf")]) == 2
    assert "unknown suffix '.pdf'; known: .txt, .md, .json" in capsys.readouterr().err
    assert main(["compare", str(run), str(run), "--out", str(run / "scorecard.json")]) == 2
    assert read_scorecard(run / "scorecard.json").kind == "scorecard"


def test_leaderboard_prints_published_rows_and_yours(run, capsys):
    assert main(["leaderboard"]) == 0
    assert "75.38" in capsys.readouterr().out
    assert main(arguments(run)) == 0
    for name in ("board.txt", "board.md", "board.csv", "board.html"):
        assert main(["leaderboard", str(run), "--out", str(run / name)]) == 0
        assert run.name in (run / name).read_text().replace("\\", "")  # Markdown escapes underscores
    with (run / "board.csv").open(newline="") as file:
        assert [row["standing"] for row in csv.DictReader(file)].count("scorecard") == 1
    assert main(["leaderboard", str(run / "nothing")]) == 2


def test_out_never_overwrites_an_input(run, capsys):
    tasks = (run / "tasks.jsonl").read_bytes()
    assert main(arguments(run, out=run)) == 2
    assert main(arguments(run, out=run / "tasks.jsonl")) == 2
    assert (run / "tasks.jsonl").read_bytes() == tasks
    assert capsys.readouterr().err.count("\n") == 2


def test_report_waits_until_nothing_else_writes_the_run(run, capsys):
    assert main(arguments(run)) == 0
    with only_run(run):
        assert main(["report", str(run)]) == 2
    assert "another run is writing here" in capsys.readouterr().err and not (run / "report.html").exists()
    assert main(["report", str(run)]) == 0
    assert not (run / ".lock").exists()


def test_report_without_a_scorecard_is_a_usage_error(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 2
    assert "scorecard.json: no such file" in capsys.readouterr().err


def test_an_output_that_cannot_be_written_is_one_line_too(run, capsys):
    (run / "file").write_text("")
    assert main(arguments(run, out=run / "file" / "scorecard.json")) == 2
    assert re.fullmatch(r"eval: --out .*: no file can be written there \(.*file: .*\); .*\n", capsys.readouterr().err)


def test_a_full_disk_is_one_line_and_what_was_there_stays(run, small_disk, capsys):
    out = small_disk(8) / "scorecard.json"
    out.write_text("an earlier one")
    assert main(arguments(run, out=out)) == 1
    expected = f"eval: No space left on device: {out}. Make room, then run the same command again\n"
    assert capsys.readouterr().err == expected
    assert {path.name: path.read_text() for path in out.parent.iterdir()} == {"scorecard.json": "an earlier one"}


def test_a_run_that_is_stopped_leaves_nothing_half_written(run, monkeypatch, capsys):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("eval.verbs.write_scorecard", stop)
    assert main(arguments(run)) == 130
    assert capsys.readouterr().err == "eval: stopped; nothing was written in part\n"
    assert not (run / "scorecard.json").exists()


@pytest.mark.parametrize("wrong", [[], ["score"], ["score", "--tasks"]])
def test_a_wrong_command_line_exits_2(wrong, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(wrong)
    assert "usage" in capsys.readouterr().err


def test_an_unknown_command_is_one_line_that_names_the_nearest(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["scores"])
    assert capsys.readouterr().err == "python -m eval: no command 'scores' (did you mean 'score'?)\n"


def test_on_a_terminal_names_are_shortened_until_lines_fit(capsys, monkeypatch):
    boards = leaderboard()
    assert main(["leaderboard"]) == 0
    assert capsys.readouterr().out == leaderboard_text(boards)
    monkeypatch.setattr("eval.command.terminal_width", lambda: 160)
    assert main(["leaderboard"]) == 0
    assert capsys.readouterr().out == leaderboard_text(boards, width=160) != leaderboard_text(boards)
