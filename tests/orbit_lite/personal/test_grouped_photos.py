"""Single photos: consecutive ones are held out together, and no frame or feature changes."""

import dataclasses

import pytest
import torch

from orbit_lite.models.heads.prototypes import PrototypeHead
from orbit_lite.personal.calibrating.leave_out import HeadTeaching, hold_out, rounds_by_likeness
from orbit_lite.personal.recognizer import SupportSet, TaughtVideo, group_photos


def photo(name, digest):
    return TaughtVideo(name, 1, (1,), digest)


def video(name, digest, frames=3):
    return TaughtVideo(name, 30 * frames, tuple(range(1, 30 * frames, 30)), digest)


@pytest.mark.parametrize(
    ("photos", "lengths"),
    [
        (1, [1]),
        (2, [1, 1]),
        (3, [2, 1]),
        (7, [4, 3]),
        (8, [4, 4]),
        (10, [5, 5]),
        (13, [5, 4, 4]),
        (23, [5, 5, 5, 4, 4]),
    ],
)
def test_the_number_of_groups_by_number_of_photos(photos, lengths):
    together = group_photos([photo("mug", f"{number:02d}") for number in range(photos)])
    assert [len(found.frames) for found in together] == lengths
    assert [found.digest for found in together] == [f"{sum(lengths[:k]):02d}" for k in range(len(lengths))]


def test_objects_and_videos_are_not_mixed_and_videos_stay_as_they_are():
    given = [
        photo("bag", "1"),
        photo("bag", "2"),
        video("bag", "3"),
        photo("bag", "4"),
        photo("mug", "5"),
        video("mug", "6"),
    ]
    together = group_photos(given)
    assert [(found.object, len(found.frames)) for found in together] == [
        *(("bag", 1), ("bag", 1), ("bag", 3), ("bag", 1)),
        *(("mug", 1), ("mug", 3)),
    ]
    assert together[2] is given[2] and together[5] is given[5]
    assert group_photos([video("mug", "1"), video("mug", "2")]) == (video("mug", "1"), video("mug", "2"))


def test_a_photo_is_held_out_with_its_neighbors(make_support):
    frames = make_support({"bag": 5, "mug": 5}, apart=3.0)  # four frames each, so 20 photos of each object
    parts = [
        (dataclasses.replace(taught, length=1, frames=(1,), digest=f"{taught.digest}{number}"), features[number, None])
        for taught, features in frames.parts()
        for number in range(4)
    ]
    photos = SupportSet.of(parts)
    together = photos.with_grouped_photos
    assert torch.equal(together.features, photos.features) and torch.equal(together.labels, photos.labels)
    assert len(together.videos) == 8  # 20 photos are 4 videos of 5
    found = hold_out(HeadTeaching(PrototypeHead, together), rounds_by_likeness(together.videos, together.features))
    assert sorted(found.frame.tolist()) == list(range(40)) and found.videos == 8
    for place in range(8):
        assert len(set(found.round[found.video == place].tolist())) == 1
