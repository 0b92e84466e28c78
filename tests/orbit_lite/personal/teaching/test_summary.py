"""The summary of a recognizer that was just taught: its numbers agree and its words are right."""

import csv
import dataclasses
import io

import numpy as np
import pytest
import torch

from data_prep.quality.estimate import VideoQuality, video_quality
from data_prep.quality.report import filming_lines
from orbit_lite.models.learner import LearnerConfig
from orbit_lite.models.recognizer import build_recognizer
from orbit_lite.personal.calibrating.leave_out import HeldOut
from orbit_lite.personal.recognizer import TaughtVideo
from orbit_lite.personal.teaching.material import UserVideos
from orbit_lite.personal.teaching.summary import (
    CSV_COLUMNS,
    FEW_VIDEOS,
    promise_lines,
    summarize,
    summary_csv,
    summary_text,
)
from orbit_lite.personal.teaching.teach import held_out, teach

SIZE_PX = 32
ADAPTING = LearnerConfig(name="own", head="linear", adapter="steps", extractor="frozen", steps=1)


def quality_of(video: TaughtVideo) -> VideoQuality:
    """The quality of identical gray pictures that are too dark."""
    return video_quality(torch.full((3, 32, 32, 3), 40, dtype=torch.uint8).numpy(), object=video.object)


def taught(counts, *, learner="protonets", issues=()):
    """A recognizer taught with some videos of 90 frames, of which three are used, and these videos."""
    recognizer = build_recognizer(learner, "tiny", weights="random", seed=1, frame_size_px=SIZE_PX)
    generator = torch.Generator().manual_seed(0)
    videos, tensors = [], []
    for name, count in sorted(counts.items()):
        for number in range(count):
            images = torch.randint(0, 256, (3, 3, SIZE_PX, SIZE_PX), dtype=torch.uint8, generator=generator)
            videos.append(TaughtVideo(name, 90, (1, 31, 61), f"{name} {number}", issues))
            tensors.append(images if not recognizer.shares_features else recognizer.embed(images))
    user_videos = UserVideos("alice", tuple(videos), tuple(tensors), tuple(map(quality_of, videos)), (), 0)
    return teach(recognizer, user_videos, origin={}), user_videos


def test_a_row_per_object_by_hand():
    personal, user_videos = taught({"bag": 3, "keys": 1, "mug": 2})
    found = held_out(personal)
    bag, keys, mug = summarize(personal, found, user_videos)
    assert (bag.object, bag.videos, bag.frames, bag.seconds, bag.held_out_frames) == ("bag", 3, 9, 9.0, 9)
    assert (keys.videos, keys.held_out_frames, keys.held_out_accuracy) == (1, 0, None)
    for row, label in ((bag, 0), (mug, 2)):
        own = found.label == label
        assert row.held_out_accuracy == pytest.approx((found.prediction[own] == label).mean())
    assert bag.filming == "your 3 videos look fine."
    assert keys.filming.startswith("your video looks fine. This is a single video: film one or more others")
    assert mug.filming == f"your 2 videos look fine. 2 videos are few: film {FEW_VIDEOS} or more, in different places."


def test_the_share_right_is_of_the_objects_own_frames():
    personal, _ = taught({"bag": 2, "mug": 2})
    # three of the bag's four frames are right, and none of the mug's two
    label, prediction = torch.tensor([0, 0, 0, 0, 1, 1]).numpy(), torch.tensor([0, 0, 0, 1, 0, 0]).numpy()
    none = torch.zeros(6).numpy()
    found = HeldOut(label, label, label, label, np.eye(2)[prediction], none)
    bag, mug = summarize(personal, found)
    assert (bag.held_out_accuracy, mug.held_out_accuracy) == (0.75, 0.0)


def test_the_filming_advice_does_not_depend_on_the_objects_name():
    name = "mug: the red one"
    personal, user_videos = taught({name: 3, "bag": 3}, issues=("blurred",))
    row = next(row for row in summarize(personal, held_out(personal), user_videos) if row.object == name)
    assert row.filming == "all 3 of your videos are blurred; hold still for two seconds before you stop."
    # the same words as in `prep quality`
    dark = quality_of(user_videos.videos[0])
    assert "underexposed" in dark.issues
    videos = tuple(dataclasses.replace(video, issues=dark.issues) for video in personal.support.videos)
    personal = dataclasses.replace(personal, support=dataclasses.replace(personal.support, videos=videos))
    row = next(row for row in summarize(personal, held_out(personal), user_videos) if row.object == name)
    (line,) = filming_lines([dataclasses.replace(dark, object=name)] * 3)
    assert line == f"{name}: {row.filming}"


def test_objects_taught_earlier_get_no_filming_advice():
    personal, user_videos = taught({"bag": 3, "mug": 3}, issues=("blurred",))
    later = dataclasses.replace(user_videos, videos=user_videos.videos[:3])  # the bag's
    bag, mug = summarize(personal, held_out(personal), later)
    assert "blurred" in bag.filming and mug.filming == ""
    assert all(row.filming == "" for row in summarize(personal, held_out(personal)))


def test_the_text_begins_with_what_to_expect_and_has_a_line_per_object():
    personal, user_videos = taught({"bag": 3, "keys": 1})
    rows = summarize(personal, held_out(personal), user_videos)
    lines = summary_text(personal, rows).splitlines()
    assert lines[:-1][: 1 + len(promise_lines(personal))] == ["alice: 2 objects", *promise_lines(personal)]
    accuracy = f"{100 * rows[0].held_out_accuracy:.0f}"
    assert f"bag: 3 videos, 9 s, 9 frames taken; recognized in {accuracy} % of the frames of held-out videos" in lines
    assert "keys: 1 video, 3 s, 3 frames taken" in lines
    assert any(line.startswith("'None of these' (balanced) should be the answer for at most 25 %") for line in lines)
    single, _ = taught({"bag": 1, "keys": 1})
    assert "It never answers 'none of these'" in summary_text(single, summarize(single, held_out(single)))


def test_a_learner_that_adapted_to_the_held_out_videos_says_so():
    result = {}
    for learner in ("protonets", ADAPTING):
        personal, user_videos = taught({"bag": 2, "mug": 2}, learner=learner)
        result[learner] = summary_text(personal, summarize(personal, held_out(personal), user_videos))
    assert "somewhat too high" in result[ADAPTING] and "check-user" in result[ADAPTING]
    assert "somewhat too good" not in result["protonets"]


def test_names_can_not_control_the_terminal():
    personal, user_videos = taught({"mug\x1b[31m": 2, "bag\u202e": 2})
    personal = dataclasses.replace(personal, user="al\x1bice")
    text = summary_text(personal, summarize(personal, held_out(personal), user_videos))
    assert "\x1b" not in text and "\u202e" not in text
    assert "al\\x1bice" in text and "mug\\x1b[31m: 2 videos" in text and "bag\\u202e: 2 videos" in text


def test_the_csv_has_a_row_per_participant_and_object():
    personal, user_videos = taught({"bag": 3, 'mug, "red"': 1})
    rows = summarize(personal, held_out(personal), user_videos)
    bag, mug = csv.DictReader(io.StringIO(summary_csv([("alice", rows)])))
    assert tuple(bag) == CSV_COLUMNS
    assert (bag["participant"], bag["object"], bag["videos"], bag["seconds_filmed"]) == ("alice", "bag", "3", "9.0")
    assert float(bag["held_out_accuracy"]) == pytest.approx(rows[0].held_out_accuracy, abs=5e-5)
    assert (mug["object"], mug["held_out_frames"], mug["held_out_accuracy"]) == ('mug, "red"', "0", "")
