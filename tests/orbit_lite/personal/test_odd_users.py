"""Unusual users: two things, or sixty; one photo of each; repeated photos."""

import json
from collections import Counter
from functools import partial

import cv2
import numpy as np
import pytest

from orbit_lite.personal.decision.rejection import UNTESTED
from orbit_lite.personal.file import load_personal

TINY = ["--model", "ridge", "--backbone", "tiny", "--device", "cpu", "--workers", "1"]


@pytest.fixture
def make_user(tmp_path):
    """A user's folder of frames with the given numbers of objects, videos and frames."""

    def make(objects, videos, frames=2, *, name="alice"):
        for thing in range(objects):
            for video in range(videos):
                folder = tmp_path / name / f"thing {thing:02d}" / "clean" / f"v{video}"
                folder.mkdir(parents=True)
                for frame in range(frames):
                    write_picture(folder / f"v{video}-{frame + 1:05d}.jpg", thing, video, frame)
        return tmp_path / name

    return make


def write_picture(path, thing, video, frame):
    """A picture with the thing's color, the video's patches, and some noise."""
    rng = np.random.default_rng([thing, video, frame])
    color, patches = np.random.default_rng(thing).integers(0, 256, 3), np.random.default_rng([thing, video])
    picture = np.full((224, 224, 3), color, np.float64)
    picture += patches.normal(0, 25, (7, 7, 1)).repeat(32, axis=0).repeat(32, axis=1) + rng.normal(0, 4, picture.shape)
    cv2.imwrite(str(path), picture.clip(0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 95])


@pytest.fixture
def personalize(run_verb, tmp_path):
    def call(user, *options):
        status, output, error = run_verb("personalize", *TINY, "--videos", user, "--out", tmp_path / "a.st", *options)
        return status, output, error, load_personal(tmp_path / "a.st") if status == 0 else None

    return call


@pytest.fixture
def check(run_verb):
    return partial(run_verb, "check-user", *TINY, "--draws", "0")


def test_two_things_are_distinguished_and_missing_estimates_are_reported(make_user, personalize, check, tmp_path):
    user = make_user(2, 3)
    status, output, _, personal = personalize(user)
    assert status == 0 and personal.rejection.curve
    assert "gets one of these names can't be estimated: this takes three objects" in output
    status, output, _ = check(user, "--out", tmp_path / "check")
    numbers = json.loads((tmp_path / "check" / "check.json").read_text())["users"]["alice"]
    assert status == 0 and (numbers["false_alarms"], numbers["auroc"], numbers["chance"]) == (None, None, 0.5)


def test_sixty_things_are_taught_and_checked(make_user, personalize, check):
    user = make_user(60, 2, 1)
    status, output, _, personal = personalize(user)
    assert status == 0 and len(personal.objects) == 60
    assert "guessing would get 2 %" in output
    assert personal.rejection.point.false_alarms is not None  # 16 things were left out
    status, output, _ = check(user)
    assert status == 0 and sum(line.startswith("thing ") for line in output.splitlines()) == 60


def test_one_photo_of_each_thing_teaches_and_every_answer_is_a_maybe(make_user, personalize, check):
    user = make_user(3, 1, 1)
    status, output, _, personal = personalize(user)
    assert status == 0 and personal.rejection.point == UNTESTED
    assert "can't be estimated: no object has two videos" in output and "every answer is a 'maybe'" in output
    status, output, error = check(user)
    assert (status, output) == (1, "") and "film a second video of each" in error


def test_repeated_photos_teach_once_and_are_reported(make_user, personalize):
    user = make_user(3, 2, 1)
    for thing in user.iterdir():
        for copy in ("v7", "v8"):
            (thing / "clean" / copy).mkdir()
            first = (thing / "clean/v0/v0-00001.jpg").read_bytes()
            (thing / "clean" / copy / f"{copy}-00001.jpg").write_bytes(first)
    status, output, _, personal = personalize(user)
    assert status == 0 and output.count("the same video was found 3 times and was used once") == 3
    assert Counter(video.object for video in personal.support.videos) == dict.fromkeys(personal.objects, 2)


def test_a_thing_whose_photos_are_all_the_same_has_one(make_user, personalize):
    user = make_user(3, 1, 1)
    for copy in ("v7", "v8"):
        folder = user / "thing 00" / "clean" / copy
        folder.mkdir()
        (folder / f"{copy}-00001.jpg").write_bytes((user / "thing 00/clean/v0/v0-00001.jpg").read_bytes())
    status, output, _, personal = personalize(user)
    assert status == 0 and personal.rejection.point == UNTESTED and "was used once" in output


def test_one_photo_of_two_things_is_refused(make_user, personalize):
    user = make_user(2, 2, 1)
    picture = (user / "thing 00/clean/v0/v0-00001.jpg").read_bytes()
    (user / "thing 01/clean/v0/v0-00001.jpg").write_bytes(picture)
    status, _, error, _ = personalize(user)
    assert status == 1 and "objects 'thing 00' and 'thing 01' have the same video" in error
