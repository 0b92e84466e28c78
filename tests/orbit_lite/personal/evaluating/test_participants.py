"""Evaluating a folder of personal files on a tree: one run per participant, and one table for all."""

import csv
import shutil

import pytest
import torch

from eval.formats.records import read_predictions, read_scorecard, read_tasks
from groundwork.errors import UsageError
from orbit_lite.models.choice import ModelChoice
from orbit_lite.personal.evaluating.participants import personal_files
from orbit_lite.personal.teaching.personalize import personalize


@pytest.fixture(scope="module")
def files(pocket_frames, tmp_path_factory):
    """Both test users' personal files in one folder, beside their table. Do not change it."""
    out = tmp_path_factory.mktemp("files")
    users = sorted((pocket_frames / "test").iterdir())
    personalize(ModelChoice("protonets", "tiny", "random"), users, out, device=torch.device("cpu"))
    return out


@pytest.fixture
def run(run_verb, pocket_frames, tmp_path):
    def call(folder, *options):
        wanted = ["--model", folder, "--data", pocket_frames, "--protocol", "own-videos", "--out", tmp_path / "out"]
        return run_verb("evaluate", *wanted, "--workers", "0", "--device", "cpu", *options)

    return call


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_each_participant_has_a_run_and_a_row_and_each_object_one(run, files, tmp_path):
    status, output, _ = run(files)
    names = sorted(path.stem for path in files.glob("*.safetensors"))
    assert status == 0 and output.startswith("2 participants: ") and "no interval over participants" in output
    assert [row["participant"] for row in rows(tmp_path / "out/participants.csv")] == names
    objects = rows(tmp_path / "out/participants_objects.csv")
    for row in rows(tmp_path / "out/participants.csv"):
        card = read_scorecard(tmp_path / "out" / row["participant"] / "scorecard.json")
        assert float(row["accuracy"]) == pytest.approx(card.overall.frame_accuracy.per_video.mean, abs=5e-5)
        assert float(row["right"]) + float(row["wrong"]) + float(row["none"]) == pytest.approx(1, abs=2e-4)
        own = [entry for entry in objects if entry["participant"] == row["participant"]]
        assert [entry["object"] for entry in own] == [score.object for score in card.per_object]
        predictions = read_predictions(tmp_path / "out" / row["participant"] / "predictions.parquet")
        (task,) = read_tasks(tmp_path / "out" / row["participant"] / "tasks.jsonl").tasks
        for entry in own:
            label = task.objects.index(entry["object"])
            videos = [plan.video for plan in task.query if plan.label == label]
            of_object = predictions[predictions.video.isin(videos)]
            assert int(entry["frames"]) == len(of_object) and int(entry["videos"]) == len(videos)
            assert float(entry["none"]) == pytest.approx((of_object.answer == "none of these").mean(), abs=5e-5)
            taken = of_object.prediction[of_object.prediction != label].value_counts()
            assert (
                float(entry["confused_share"]) == pytest.approx(taken.max() / len(of_object), abs=5e-5) or taken.empty
            )
    page = (tmp_path / "out/participants.html").read_text()
    assert all(name in page for name in names) and "<img" not in page


def test_a_failure_does_not_affect_the_others_and_the_same_command_resumes(run, files, tmp_path):
    folder = shutil.copytree(files, tmp_path / "files")
    first, second = sorted(folder.glob("*.safetensors"))
    whole = first.read_bytes()
    first.write_bytes(whole[:-100])
    status, _, error = run(folder)
    assert status == 1 and f"1 of 2 personal files failed: {first.name}" in error
    assert [row["participant"] for row in rows(tmp_path / "out/participants.csv")] == [second.stem]
    first.write_bytes(whole)
    assert run(folder)[0] == 0
    assert len(rows(tmp_path / "out/participants.csv")) == 2


def test_a_folder_without_personal_files_and_a_user_are_refused(run, files, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="contains no personal recognizers"):
        personal_files(tmp_path / "empty")
    status, _, error = run(files, "--user", "P3001")
    assert status == 2 and "--user needs one personal recognizer" in error
