"""`check-user` as a user sees it: on real videos, through the command line."""

import csv
import json
import re
import shutil
from functools import partial

import pytest
import torch

from orbit_lite.cli.parser import main
from orbit_lite.models.checkpoint import save_recognizer
from orbit_lite.models.choice import ModelChoice
from orbit_lite.models.learner import LearnerConfig
from orbit_lite.models.recognizer import build_recognizer
from orbit_lite.personal.checking.check_user import check_user
from orbit_lite.personal.teaching.personalize import personalize

TINY = ["--model", "protonets", "--backbone", "tiny", "--device", "cpu"]
CPU = torch.device("cpu")
TABLES = ("check_objects.csv", "check_confusion.csv", "check_learning_curve.csv")


@pytest.fixture(scope="session")
def bob(pocket_raw, tmp_path_factory):
    """A user's folder with three videos of each of three objects. Do not change it; copy it."""
    user, folder = sorted((pocket_raw / "test").iterdir())[1], tmp_path_factory.mktemp("users") / "bob"
    for thing in sorted(user.iterdir()):
        (folder / thing.name).mkdir(parents=True)
        for number, video in enumerate(sorted(thing.glob("*/*.mp4"))):
            shutil.copy(video, folder / thing.name / f"{number}.mp4")
    return folder


@pytest.fixture
def spoilt(bob, tmp_path):
    """A copy that tests may damage."""
    return shutil.copytree(bob, tmp_path / "bob")


@pytest.fixture
def run(run_verb):
    return partial(run_verb, "check-user")


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def things(folder):
    return sorted(folder.iterdir())


@pytest.fixture(scope="session")
def report(bob, tmp_path_factory):
    """A folder with bob's report, made by two processes. Do not change it."""
    out = tmp_path_factory.mktemp("report") / "out"
    assert main(["check-user", str(bob), *TINY, "--out", str(out), "--workers", "2"]) == 0
    return out


def test_the_text_has_a_headline_and_then_a_line_per_object_worst_first(run, bob, report):
    status, output, _ = run(bob, *TINY)
    lines = output.splitlines()
    assert status == 0 and output.isascii() and max(map(len, lines)) < 500
    assert re.match(r"bob: About \d+ % of the frames are likely to be recognized in a new place \(95 % ", lines[0])
    assert "guessing would get 33 %" in lines[0] and "on 9 held-out videos" in lines[1]
    assert "know nothing about images" in lines[2]  # random weights
    names = [thing.name for thing in things(bob)]
    result = [line for line in lines if line.split(":")[0] in names]
    assert len(result) == 3
    shares = [int(re.search(r": (\d+) % of frames and \d of 3 videos", line)[1]) for line in result]
    assert shares == sorted(shares)
    assert any(line.startswith("With videos held out one at a time, ") for line in lines)
    assert any(line.startswith("'None of these' (balanced) should be the answer") for line in lines)
    for row in rows(report / "check_objects.csv"):
        line = next(line for line in result if line.startswith(row["object"] + ":"))
        assert f"{100 * float(row['frame_accuracy']):.0f} % of frames" in line and row["advice"] in line


def test_the_same_folder_gives_the_same_report_on_one_worker(run, bob, report, tmp_path):
    status, output, _ = run(bob, *TINY, "--out", tmp_path / "out", "--workers", "1")
    assert status == 0 and output.endswith(f"written: {tmp_path / 'out' / 'check.html'}\n")
    files = sorted(path.name for path in report.iterdir())
    assert files == sorted(path.name for path in (tmp_path / "out").iterdir())
    for name in files:
        assert (tmp_path / "out" / name).read_bytes() == (report / name).read_bytes(), name


def test_names_of_files_change_no_number(spoilt, report, tmp_path):
    for thing in things(spoilt):
        for number, name in ((0, "z"), (1, "y"), (2, "x")):
            (thing / f"{number}.mp4").rename(thing / f"{name}.mp4")
    assert main(["check-user", str(spoilt), *TINY, "--out", str(tmp_path / "out")]) == 0
    for name in TABLES:
        assert (tmp_path / "out" / name).read_bytes() == (report / name).read_bytes()


def test_a_personal_file_is_checked_without_its_videos(run, bob, report, tmp_path):
    """And personalizing reports the same about each object."""
    file = tmp_path / "bob.safetensors"
    table = tmp_path / "participants.csv"
    personalize(ModelChoice("protonets", "tiny"), [bob], file, csv=table, device=CPU)
    status, output, _ = run(file, "--device", "cpu", "--out", tmp_path / "out")
    assert status == 0 and output.startswith("bob: ")
    for name in TABLES:
        assert (tmp_path / "out" / name).read_bytes() == (report / name).read_bytes()
    ours = rows(report / "check_objects.csv")
    assert [(r["object"], r["frame_accuracy"]) for r in ours] == [
        (r["object"], r["held_out_accuracy"]) for r in rows(table)
    ]
    videos = [row["video"] for row in rows(tmp_path / "out" / "check_videos.csv")]
    assert videos[:2] == [f"{ours[0]['object']}, video 1", f"{ours[0]['object']}, video 2"]
    # what the file is and is not
    assert run(file, *TINY)[::2] == (
        2,
        f"orbit-lite: {file}: is a file; expected a folder of videos, or a personal recognizer without --model",
    )
    file.write_bytes(file.read_bytes()[:-100])
    status, _, error = run(file)
    assert status == 1 and str(file) in error


@pytest.mark.parametrize("adapter", ["generator", "steps"])
def test_a_learner_that_adapts_is_personalized_again_in_each_round(run, bob, tmp_path, adapter):
    head = "mahalanobis" if adapter == "generator" else "linear"
    learner = LearnerConfig(name="own", adapter=adapter, head=head, extractor="frozen", steps=1)
    checkpoint = tmp_path / "small.safetensors"  # with small frames, because its set encoder is slow with large ones
    save_recognizer(checkpoint, build_recognizer(learner, "tiny", weights="random", frame_size_px=32), config={})
    model = ["--model", checkpoint, "--device", "cpu"]
    status, output, _ = run(bob, *model, "--out", tmp_path / "out")
    assert status == 0 and "likely to be recognized" in output
    assert (
        "No learning curve: this learner adapts its extractor" in output and "by personalizing up to 6 times" in output
    )
    assert not (tmp_path / "out" / "check_learning_curve.csv").exists()
    status, output, _ = run(bob, *model, "--draws", "1")
    assert status == 0 and "with 1 teaching video of each object" in output
    # it needs the videos
    file = tmp_path / "bob.safetensors"
    personalize(ModelChoice(str(checkpoint)), [bob], file, device=CPU)
    status, _, error = run(file)
    assert status == 2 and "learner own adapted its extractor to all the videos" in error


def test_an_object_with_one_video_is_reported_and_the_others_are_checked(run, spoilt):
    single = things(spoilt)[1]
    for number in (1, 2):
        (single / f"{number}.mp4").unlink()
    status, output, _ = run(spoilt, *TINY)
    assert status == 0
    assert f"{single.name}: not checked." in output and "It has a single video, so it can't be checked" in output
    assert "on 6 held-out videos" in output


def test_objects_with_only_one_video_each_are_refused(run, spoilt):
    for thing in things(spoilt):
        for number in (1, 2):
            (thing / f"{number}.mp4").unlink()
    status, output, error = run(spoilt, *TINY)
    assert (status, output) == (1, "")
    assert "none of the 3 objects has 2 videos" in error and "film a second video of each" in error


def test_a_single_object_is_refused(run, spoilt):
    for thing in things(spoilt)[1:]:
        shutil.rmtree(thing)
    status, _, error = run(spoilt, *TINY)
    assert status == 1 and "user bob: has only 1 object" in error and "film at least 2" in error


def test_an_undecodable_video_is_left_out_and_reported(run, spoilt):
    broken = things(spoilt)[0] / "1.mp4"
    broken.write_bytes(broken.read_bytes()[:2000])
    status, output, _ = run(spoilt, *TINY)
    assert status == 0 and "on 8 held-out videos" in output
    assert re.search(rf"left out, can't be read: .*{re.escape(broken.name)}", output)


def test_an_object_without_a_readable_video_is_an_error(run, spoilt):
    thing = things(spoilt)[0]
    for video in thing.iterdir():
        video.write_bytes(b"\0" * 500)
    status, output, error = run(spoilt, *TINY)
    assert (status, output) == (1, "") and f"object {thing.name!r} has no readable video" in error


def test_two_objects_with_the_same_videos_are_an_error(run, spoilt):
    first, second = things(spoilt)[:2]
    shutil.copy(first / "0.mp4", second / "also.mp4")
    status, output, error = run(spoilt, *TINY)
    assert (status, output) == (1, "") and "have the same video" in error


def test_paths_that_are_not_a_users_folder_are_refused(run, bob, tmp_path):
    status, _, error = run(tmp_path / "nobody", *TINY)
    assert status == 2 and "no such folder" in error
    status, _, error = run(bob.parent, *TINY)  # the tree of users instead of one user
    assert status == 1 and f"give {bob}" in error
    status, _, error = run(things(bob)[0] / "0.mp4")  # a video instead of a folder
    assert status == 1 and "0.mp4" in error
    status, _, error = run(tmp_path / "none.safetensors")
    assert status == 2 and "no such file" in error


def test_usage_errors_are_reported_before_any_video_is_read(run, bob, tmp_path):
    (tmp_path / "file").write_text("mine")
    for arguments, output in [
        (["--backbone", "tiny"], "--backbone also needs --model"),
        (["--weights", "random"], "--weights also needs --model"),
        ([*TINY, "--out", tmp_path / "file"], "file: a file; --out takes a folder"),
        (["--model", "protonet", "--backbone", "tiny"], "did you mean 'protonets'"),
        ([*TINY, "--draws", "-1"], "expected 0 or more, got -1"),
        ([*TINY, "--workers", "-1"], "expected 0 or more, got -1"),
        ([*TINY, "--seed", "x"], "expected a whole number, got 'x'"),
    ]:
        status, printed, error = run(bob, *arguments)
        assert (status, printed) == (2, "") and output in error
    assert (tmp_path / "file").read_text() == "mine"


def test_the_report_records_what_was_checked(bob):
    found = check_user(bob, ModelChoice("protonets", "tiny"), draws=1, device=CPU)
    facts = dict(found.facts)
    assert (facts["learner"], facts["backbone"], facts["objects, videos"]) == ("protonets", "tiny", "3, 9")
    assert json.loads(facts["composition"])["head"] == "proto"
    assert "torch" in facts["versions"]
    assert {video.video for video in found.held_out} == {
        f"{thing.name}/{number}.mp4" for thing in things(bob) for number in range(3)
    }


def test_without_a_model_the_embedded_start_is_checked(run, bob):
    status, output, error = run(bob, "--draws", "0", "--device", "cpu")
    assert status == 0, error
    assert "no --model given: starting from EfficientNet-Lite0 with ImageNet weights" in output
    found = check_user(bob, None, draws=0, device=CPU)
    facts = dict(found.facts)
    assert (facts["learner"], facts["backbone"], facts["weights"]) == (
        "ridge_two_views",
        "efficientnet_lite0",
        "pretrained",
    )
