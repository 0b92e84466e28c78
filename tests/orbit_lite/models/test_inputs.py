"""Checks of a recognizer's inputs, and chunks."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from groundwork.errors import DataError
from orbit_lite.models.inputs import (
    check_finite,
    check_images,
    check_labels,
    check_support_labels,
    check_videos,
    chunks_of,
)


@pytest.mark.parametrize("shape", [(2, 3, 32, 32), (2, 4, 3, 32, 32)])
def test_frames_and_clips_pass(shape: tuple[int, ...]) -> None:
    check_images(torch.zeros(shape, dtype=torch.uint8), frame_size_px=32)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (torch.zeros(2, 3, 32, 32), "float32"),
        (torch.zeros(2, 3, 31, 32, dtype=torch.uint8), r"\(2, 3, 31, 32\)"),
        (torch.zeros(2, 32, 32, 3, dtype=torch.uint8), r"\(2, 32, 32, 3\)"),
        (torch.zeros(3, 32, 32, dtype=torch.uint8), r"\(3, 32, 32\)"),
        (torch.zeros(0, 3, 32, 32, dtype=torch.uint8), "no image"),
        (torch.zeros(2, 0, 3, 32, 32, dtype=torch.uint8), "no image"),
    ],
)
def test_other_images_are_refused_and_named(images: torch.Tensor, words: str) -> None:
    with pytest.raises(DataError, match=f"support images: .*{words}"):
        check_images(images, frame_size_px=32, what="support images")


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (torch.tensor([0, 1], dtype=torch.int32), "int32"),
        (torch.tensor([0.0, 1.0]), "float32"),
        (torch.tensor([0, 1, 1]), r"\(3,\); expected \(2,\)"),
        (torch.tensor([[0, 1]]), r"\(1, 2\)"),
        (torch.tensor([0, -4]), "-4 at index 1"),
    ],
)
def test_labels_that_do_not_fit_are_named(labels: torch.Tensor, words: str) -> None:
    with pytest.raises(DataError, match=words):
        check_labels(labels, items=2)


@pytest.mark.parametrize("videos", [None, torch.tensor([5, 0, 5]), torch.tensor([-1, 7, 2])])
def test_videos_of_one_class_each_pass(videos: torch.Tensor | None) -> None:
    check_videos(videos, torch.tensor([0, 1, 0]))


@pytest.mark.parametrize(
    ("videos", "words"),
    [
        (torch.tensor([0, 1, 2], dtype=torch.int32), "dtype int32; expected int64"),
        (torch.tensor([0, 1]), r"shape \(2,\); expected \(3,\)"),
        (torch.tensor([0, 0, 1]), "video 0 has items of classes 0 and 1; expected one class"),
    ],
)
def test_videos_that_do_not_fit_are_named(videos: torch.Tensor, words: str) -> None:
    with pytest.raises(DataError, match=f"support videos: {words}"):
        check_videos(videos, torch.tensor([0, 1, 0]), what="support videos")


@pytest.mark.parametrize(
    ("labels", "way", "words"),
    [
        ([0, 2], None, "class 1 has no item"),
        ([1, 2], None, "class 0 has no item"),
        ([0, 1], 4, r"class 2 has no item \(2 of 4"),
        ([0, 3], 2, "label 3 in a task with 2"),
        ([0, 10**12], None, "class 1 has no item"),
    ],
)
def test_a_skipped_class_is_named(labels: list[int], way: int | None, words: str) -> None:
    with pytest.raises(DataError, match=words):
        check_support_labels(torch.tensor(labels), items=2, way=way)


def test_way_is_inferred_or_enforced() -> None:
    assert check_support_labels(torch.tensor([1, 0, 2]), items=3) == 3
    assert check_support_labels(torch.tensor([1, 0, 2]), items=3, way=3) == 3


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_features_that_are_not_finite_are_named(value: float) -> None:
    features = torch.zeros(4, 3)
    check_finite(features, what="images")
    features[2, 1] = value
    with pytest.raises(DataError, match=r"item 2 .*1 of 4 items"):
        check_finite(features, what="images")


@given(items=st.integers(1, 40), clip=st.integers(1, 9), frames=st.integers(1, 50))
def test_chunks_cover_all_items_once_and_hold_few_frames(items: int, clip: int, frames: int) -> None:
    clips = torch.arange(items)[:, None, None, None, None].expand(items, clip, 1, 1, 1)
    chunks = [clips[part] for part in chunks_of(clips, frames)]
    assert torch.equal(torch.cat(chunks), clips)
    assert all(chunk.shape[0] * clip <= frames or chunk.shape[0] == 1 for chunk in chunks)
