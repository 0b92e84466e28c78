"""Invalid input to evaluation through the command line: a one-line message, an exit status, nothing lost."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from data_prep.tree.annotations import BOX, NOT_PRESENT
from data_prep.tree.index import build_index
from data_prep.tree.layout import annotation_path
from eval.formats.records import read_predictions, read_scorecard, read_tasks, write_predictions
from orbit_lite.cli.parser import main
from orbit_lite.models.checkpoint import save_recognizer
from orbit_lite.models.recognizer import build_recognizer

TINY = ["--model", "protonets", "--backbone", "tiny"]


def evaluation(tree, out, *more, protocol="orbit-2022", model=TINY):
    common = ["--data", tree, "--protocol", protocol, "--tasks-per-user", "1", "--device", "cpu", "--workers", "0"]
    return ["evaluate", *model, *common, "--out", out, *more]


@pytest.fixture(scope="module")
def finished(pocket_frames, tmp_path_factory) -> Path:
    """A complete run folder. Don't change it; copy it."""
    out = tmp_path_factory.mktemp("finished") / "run"
    assert main(list(map(str, evaluation(pocket_frames, out)))) == 0
    return out


@pytest.fixture
def run(finished, tmp_path) -> Path:
    """A copy that tests can damage."""
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def tree(pocket_frames, tmp_path) -> Path:
    """A copy of the frame tree that tests can damage."""
    shutil.copytree(pocket_frames, tmp_path / "frames")
    return tmp_path / "frames"


@pytest.fixture
def refused(capsys):
    """Run a command that must fail; returns its line on stderr. No file in `folder` may be lost or changed."""

    def call(*arguments, folder, status=1):
        before = contents(folder)
        capsys.readouterr()
        assert main(["--quiet", *map(str, arguments)]) == status
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1, lines
        (line,) = lines
        assert line.startswith("orbit-lite: ")
        assert line.isprintable()
        assert contents(folder) == before
        return line

    return call


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def of_run(run, verb, **other):
    """The arguments of a command that reads a run's tasks and predictions and would overwrite its scorecard."""
    places = {"tasks": run / "tasks.jsonl", "predictions": run / "predictions.parquet"} | other
    places |= {"score": {"out": run / "scorecard.json"}, "results": {"out": run / "results.json"}}.get(verb, {})
    return [verb, *(part for name, path in places.items() for part in (f"--{name}", path))]


VERBS = ["score", "check", "results"]


@pytest.mark.parametrize("verb", VERBS)
def test_predictions_for_other_tasks(run, pocket_frames, refused, verb):
    other = run.parent / "other.jsonl"
    drawn = [
        "tasks",
        "--data",
        pocket_frames,
        "--protocol",
        "orbit-2022",
        "--tasks-per-user",
        "1",
        "--split",
        "validation",
    ]
    assert main(list(map(str, [*drawn, "--out", other]))) == 0
    line = refused(*of_run(run, verb, tasks=other), folder=run)
    assert f"{run / 'predictions.parquet'}: these predictions were made for other tasks than {other}" in line
    # a foreign file does not name its tasks, but its frames reveal the mismatch
    write_predictions(run / "strange.parquet", read_predictions(run / "predictions.parquet"), metadata={})
    line = refused(*of_run(run, verb, tasks=other, predictions=run / "strange.parquet"), folder=run)
    assert re.search(r"strange\.parquet: .*\d+ faults", line)


@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_a_truncated_parquet(run, pocket_frames, refused, share):
    path = run / "predictions.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    verbs = [*(of_run(run, verb) for verb in VERBS), ["report", run], evaluation(pocket_frames, run)]
    for verb in verbs:
        assert f"{path}: not a complete parquet file" in refused(*verb, folder=run)


def test_a_truncated_parquet_can_be_made_again_as_the_message_says(run, pocket_frames, refused, finished):
    path = run / "predictions.parquet"
    path.write_bytes(path.read_bytes()[:1000])
    assert "delete it, then predict again" in refused(*evaluation(pocket_frames, run), folder=run)
    path.unlink()
    assert main(list(map(str, evaluation(pocket_frames, run)))) == 0
    assert path.read_bytes() == (finished / path.name).read_bytes()


def edited(path, change):
    """Change the JSON object in a file, or in the last line of a file of lines."""
    lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
    content = json.loads(lines[-1])
    change(content)
    path.write_text("\n".join([*lines[:-1], json.dumps(content)]) + "\n")


@pytest.mark.parametrize("verb", [*VERBS, "predict"])
def test_tasks_of_wrong_types(run, pocket_frames, refused, verb):
    edited(run / "tasks.jsonl", lambda task: task.update(task="0"))
    predict = ["predict", *TINY, "--data", pocket_frames, "--tasks", run / "tasks.jsonl", "--out", run / "p.parquet"]
    line = refused(*(predict if verb == "predict" else of_run(run, verb)), folder=run)
    assert re.search(r"tasks\.jsonl:3: task: .*integer", line)


@pytest.mark.parametrize("value", ["0.5", None, float("nan"), [0.5], 70.5])
def test_a_scorecard_of_wrong_types(run, finished, refused, value):
    edited(run / "scorecard.json", lambda card: card["overall"]["frame_accuracy"]["per_video"].update(mean=value))
    for verb in (["compare", finished, run], ["leaderboard", run], ["report", run]):
        line = refused(*verb, folder=run)
        assert f"{run / 'scorecard.json'}: overall.frame_accuracy.per_video.mean: " in line


def first_task(content):
    return next(iter(content.values()))[0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda task: task.update(task_videos=[]), "task_videos: expected videos by name"),
        (lambda task: task.update(task_object_list="bag"), "task_object_list: expected a list of names"),
        (lambda task: task["task_videos"].update({"x": {"1": "0"}}), "expected a predicted index, got '0'"),
        (lambda task: task["task_videos"].update({"x": {"1": float("nan")}}), "got nan"),
    ],
)
def test_a_results_file_of_wrong_types(run, refused, change, said):
    path = run / "results.json"
    assert main(list(map(str, of_run(run, "results")))) == 0
    edited(path, lambda content: change(first_task(content)))
    for verb in ("score", "check"):
        line = refused(*of_run(run, verb, predictions=path), folder=run)
        assert f"{path}: user " in line and said in line


def test_a_run_folders_record_that_is_damaged(run, pocket_frames, refused):
    (run / "run.json").write_text('["no", "record"]')
    assert f"{run / 'run.json'}: damaged" in refused(*evaluation(pocket_frames, run), folder=run)


def doubled(path, key):
    """Duplicate a file's first `"key": value` with another value, as a bad merge could."""
    text = path.read_text()
    place = text.index(f'"{key}"')
    path.write_text(f'{text[:place]}"{key}": "other", {text[place:]}')


@pytest.mark.parametrize(
    ("name", "key", "place"),
    [
        ("run.json", "seed", "run.json"),
        ("tasks.jsonl", "protocol", "tasks.jsonl:1"),
        ("tasks.jsonl", "clip_length", "tasks.jsonl:2"),
        ("scorecard.json", "mean", "scorecard.json"),
    ],
)
def test_a_duplicate_key(run, pocket_frames, refused, name, key, place):
    """Python's and pydantic's readers would use the last value."""
    doubled(run / name, key)
    verbs = {
        "run.json": [evaluation(pocket_frames, run)],
        "tasks.jsonl": [of_run(run, "score"), of_run(run, "results"), evaluation(pocket_frames, run)],
        "scorecard.json": [["report", run], ["leaderboard", run]],
    }
    for verb in verbs[name]:
        line = refused(*verb, folder=run)
        assert f"{run / place}: " in line and f"key '{key}' appears twice" in line


def test_altered_tasks_are_not_resumed(run, pocket_frames, refused):
    """A support frame is replaced by another: the file is readable, but the predictions would be for other tasks."""
    (run / "predictions.parquet").unlink()
    edited(run / "tasks.jsonl", lambda task: task["support"][0]["frames"].__setitem__(0, 2))
    line = refused(*evaluation(pocket_frames, run), folder=run)
    assert f"{run / 'tasks.jsonl'}: the file was altered and does not hold this run's tasks" in line
    assert not (run / "predictions.parquet").exists()


def rewritten(path, **columns):
    """Rewrite a parquet file with other values without the kit's checks, as another program could."""
    table = pq.read_table(path)
    for name, value in columns.items():
        field = table.schema.field(name)
        values = table[name].to_numpy().copy()
        values[:3] = value
        table = table.set_column(table.schema.get_field_index(name), field, pa.array(values, field.type))
    pq.write_table(table, path)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"confidence": np.nan}, "3 frames with a confidence that is not a number from 0 to 1"),
        ({"prediction": 99}, "3 frames predicted as a class that the task does not have"),
        ({"prediction": -1}, "3 frames predicted as a class that the task does not have"),
    ],
)
def test_nan_and_labels_outside_the_task(run, refused, columns, said, capsys):
    rewritten(run / "predictions.parquet", **columns)
    for verb in ("score", "results"):
        assert said in refused(*of_run(run, verb), folder=run)
    assert refused(*of_run(run, "check"), folder=run).endswith(": 1 fault")
    main(list(map(str, of_run(run, "check"))))
    assert said in capsys.readouterr().out


def spoilt_model(path, value):
    """A checkpoint whose last layer is multiplied by a value."""
    recognizer = build_recognizer("protonets", "tiny", weights="random")
    with torch.no_grad():
        list(recognizer.extractor.parameters())[-2].mul_(value)
    save_recognizer(path, recognizer, config={})
    return ["--model", path]


@pytest.mark.parametrize(("value", "said"), [(float("nan"), "NaN"), (float("inf"), "nfinite"), (1e30, "NaN")])
def test_a_model_that_returns_nan(pocket_frames, tmp_path, refused, value, said):
    """NaN in its weights, or weights so large that results are NaN; earlier results stay."""
    model = spoilt_model(tmp_path / "spoilt.safetensors", value)
    line = refused(*evaluation(pocket_frames, tmp_path / "out", model=model), folder=tmp_path / "none")
    assert said in line
    assert not (tmp_path / "out" / "predictions.parquet").exists()


def test_a_tree_that_has_changed_since_the_tasks_were_drawn(run, tree, refused):
    frame = sorted((tree / "test").glob("*/*/clean/*/*.jpg"))[-1]
    frame.unlink()
    path = annotation_path(tree, "test", frame.parent.name)
    path.write_text(
        json.dumps({name: entry for name, entry in json.loads(path.read_text()).items() if name != frame.name})
    )
    (tree / "index.csv").unlink()
    build_index(tree)
    line = refused(*evaluation(tree, run), folder=run, status=2)
    assert "its tree is another one, or has changed since" in line
    predict = ["predict", *TINY, "--data", tree, "--tasks", run / "tasks.jsonl", "--out", run / "predictions.parquet"]
    assert "these tasks were drawn from another tree, or the tree has changed" in refused(*predict, folder=run)


def hide(tree, thing):
    """Annotate an object as absent from all frames of its clutter videos."""
    for video in (thing / "clutter").iterdir():
        path = annotation_path(tree, "test", video.name)
        entries = json.loads(path.read_text())
        path.write_text(json.dumps({name: {NOT_PRESENT: True, BOX: None} for name in entries}))


def objects_of_first_user(tree):
    return sorted(sorted((tree / "test").iterdir())[0].iterdir())


def test_a_user_with_no_valid_query_video(tree, tmp_path, refused):
    things = objects_of_first_user(tree)
    for thing in things:
        hide(tree, thing)
    line = refused(*evaluation(tree, tmp_path / "out"), folder=tree)
    assert f"user {things[0].parent.name} has 0 objects with valid videos; a task needs at least 2" in line
    assert f"{things[0].name}: no valid query video" in line
    assert not (tmp_path / "out").exists()


def test_an_object_with_no_valid_query_video_leaves_its_users_tasks_and_is_listed(tree, tmp_path, capsys):
    thing, *others = objects_of_first_user(tree)
    hide(tree, thing)
    assert main(list(map(str, evaluation(tree, tmp_path / "out")))) == 0
    card = read_scorecard(tmp_path / "out" / "scorecard.json")
    gone = [(entry.user, entry.object, entry.reason) for entry in card.left_out if not entry.video]
    assert gone == [(thing.parent.name, thing.name, "no valid query video")]
    task = next(task for task in read_tasks(tmp_path / "out" / "tasks.jsonl").tasks if task.user == thing.parent.name)
    assert task.objects == tuple(other.name for other in others)
    assert "no valid query video" in capsys.readouterr().out
    for name in ("report.html", "report.md"):
        assert "no valid query video" in (tmp_path / "out" / name).read_text()


def test_own_videos_of_a_user_with_no_query_video(pocket_frames, tmp_path, refused):
    tree = tmp_path / "frames"
    shutil.copytree(pocket_frames / "test", tree)
    thing = sorted(sorted(tree.iterdir())[0].iterdir())[0]
    shutil.rmtree(thing / "clutter")
    build_index(tree)
    line = refused(*evaluation(tree, tmp_path / "out", protocol="own-videos"), folder=tree)
    assert f"user {thing.parent.name}, object '{thing.name}' has no query video" in line
    assert "needs a clutter video of every object; film one" in line
    assert not (tmp_path / "out").exists()


def test_a_full_disk_loses_nothing_and_the_same_command_resumes(finished, pocket_frames, small_disk, refused, capsys):
    """Space is freed step by step: everything written so far is complete and stays."""
    whole = contents(finished)
    size = sum(map(len, whole.values()))
    disk = small_disk(4 * size // 1024)
    out, filler = disk / "run", disk / "filler"
    kept: dict[str, bytes] = {}
    failures = 0
    for share in (0.01, 0.1, 0.3, 0.6, 0.9, 3):
        filler.write_bytes(bytes(max(shutil.disk_usage(disk).total - int(share * size) - used(out), 0)))
        status = main(["--quiet", *map(str, evaluation(pocket_frames, out))])
        error = capsys.readouterr().err.splitlines()
        found = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file() and path.name != "log.txt"}
        assert not [name for name in found if name.endswith(".part")]
        assert kept.items() <= found.items()
        kept = found
        if status == 0:
            break
        failures += 1
        assert (status, len(error)) == (1, 1)
        assert error[0].startswith("orbit-lite: No space left on device")
        assert error[0].endswith("Make room, then run the same command again")
    assert status == 0 and failures >= 3
    assert kept == {path.name: content for path, content in whole.items() if path.name != "log.txt"}


def used(folder):
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*")) if folder.exists() else 0
