"""The pocket set's frames before encoding: the annotations match the pictures."""

from collections.abc import Iterator

import numpy as np
import pytest

from data_prep.pocket.objects import Look, draw_sprite, user_looks
from data_prep.pocket.scenes import SIZES_PX, SceneFrame, clean_video, clutter_video, square
from data_prep.tree.annotations import BOX, ISSUES, NOT_PRESENT
from groundwork.randomness import keyed_rng

# the same silhouette in two colors: two scenes with one seed differ only in the object's own pixels
RED, BLUE = (draw_sprite(Look("mug", "plain", (color, "white"), seed=0)) for color in ("red", "blue"))
OTHERS = [draw_sprite(look) for look in user_looks(0, "P1001", 5)]
SEEDS = range(8)
ABSENT, ASLANT, HIDDEN = (4, 11, 12), (6, 10, 11), (16, 19, 31)  # seeds of clean videos that have these


def clean(seed: int, thing=RED) -> list[SceneFrame]:
    return list(clean_video(keyed_rng(seed, "test"), thing))


def clutter(seed: int, thing=RED) -> list[SceneFrame]:
    return list(clutter_video(keyed_rng(seed, "test"), thing, OTHERS))


def in_square(plane: np.ndarray) -> np.ndarray:
    left, top, side_px = square((plane.shape[1], plane.shape[0]))
    return plane[top : top + side_px, left : left + side_px]


def both(make, seeds=SEEDS) -> Iterator[tuple[SceneFrame, np.ndarray]]:
    """Each frame, with the pixels that change when the object has another color: bool (h, w)."""
    for seed in seeds:
        for red, blue in zip(make(seed, RED), make(seed, BLUE), strict=True):
            assert red.annotation == blue.annotation
            yield red, (red.picture != blue.picture).any(axis=2)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_clutter_video_shows_its_object_in_enough_frames_and_has_a_stretch_without_it(seed: int) -> None:
    present = [not frame.annotation[NOT_PRESENT] for frame in clutter(seed)]
    assert 90 <= len(present) <= 120  # 3 to 4 s
    assert sum(present) >= 55  # the 2022 protocol needs 50
    absent = np.flatnonzero(~np.array(present))
    assert len(absent) >= 10
    assert np.ptp(absent) == len(absent) - 1  # one stretch


def test_the_cover_matches_the_object_and_at_most_a_sliver_of_an_absent_object_shows() -> None:
    for frame, differs in both(clutter):
        assert not (differs & (frame.cover == 0)).any()
        assert frame.annotation[NOT_PRESENT] == (frame.annotation[BOX] is None)
        if frame.annotation[NOT_PRESENT]:
            # less than 2 % of an object that covers about 15 % of the square
            assert in_square(differs).sum() < 0.01 * in_square(frame.cover).size


def test_some_frames_without_the_object_show_other_objects() -> None:
    shown = []
    for seed in SEEDS:
        bare = list(clutter_video(keyed_rng(seed, "test"), RED, OTHERS))
        swapped = list(clutter_video(keyed_rng(seed, "test"), RED, OTHERS[::-1]))
        gone = [i for i, frame in enumerate(bare) if frame.annotation[NOT_PRESENT]]
        shown.append(any((bare[i].picture != swapped[i].picture).any() for i in gone))
    assert any(shown)


def test_distractors_are_clearly_smaller_than_the_object() -> None:
    for seed in SEEDS:
        frames = list(clutter_video(keyed_rng(seed, "test"), RED, OTHERS))
        swapped = list(clutter_video(keyed_rng(seed, "test"), RED, OTHERS[1:] + OTHERS[:1]))
        differ = (frames[0].picture != swapped[0].picture).any(axis=2)
        # all distractors together, against the one target
        assert 0 < differ.sum() < 1.5 * frames[0].cover.sum()


def test_framing_is_flagged_where_the_objects_outline_leaves_the_square() -> None:
    flagged = 0
    for seed in SEEDS:
        for frame in clean(seed):
            if frame.annotation[NOT_PRESENT]:
                continue
            inside = in_square(frame.cover)
            at_edge = max(inside[0].max(), inside[-1].max(), inside[:, 0].max(), inside[:, -1].max()) > 0.5
            if frame.annotation["framing_issue"]:
                flagged += 1
                assert at_edge
            elif at_edge:  # the object may touch the edge, with one pixel outside
                assert (inside > 0.5)[[0, -1]].sum() + (inside > 0.5)[:, [0, -1]].sum() < 0.1 * inside.shape[0]
    assert flagged > 10


def test_occlusion_is_flagged_where_something_covers_the_object() -> None:
    flagged = 0
    for frame, differs in both(clean, (*HIDDEN, *ASLANT)):
        entry = frame.annotation
        if entry[NOT_PRESENT] or entry["overexposed_issue"] or entry["underexposed_issue"] or entry["blur_issue"]:
            continue
        solid = frame.cover == 1
        hidden = (solid & ~differs).sum() / max(solid.sum(), 1)
        flagged += bool(entry["occlusion_issue"])
        assert hidden > 0.04 if entry["occlusion_issue"] else hidden < 0.06
    assert flagged > 10


def test_viewpoint_is_flagged_where_the_object_is_seen_from_its_edge() -> None:
    flagged = 0
    for seed in (*ASLANT, *HIDDEN):
        frames = [frame for frame in clean(seed) if frame.annotation["framing_issue"] is False]
        areas = np.array([frame.cover.sum() for frame in frames])
        aslant = np.array([frame.annotation["viewpoint_issue"] for frame in frames])
        if aslant.any():
            flagged += 1
            assert areas[aslant].max() < 0.75 * np.median(areas[~aslant])
    assert flagged >= len(ASLANT)


def test_issues_are_null_where_the_object_is_absent() -> None:
    absent = [frame.annotation for seed in ABSENT for frame in clean(seed) if frame.annotation[NOT_PRESENT]]
    assert absent
    assert all(entry[issue] is None for entry in absent for issue in ISSUES if issue != NOT_PRESENT)


def test_clean_videos_have_few_issues_and_none_at_the_start() -> None:
    for seed in SEEDS:
        frames = clean(seed)
        assert 60 <= len(frames) <= 90  # 2 to 3 s
        sound = [not any(value is not False for value in frame.annotation.values()) for frame in frames]
        assert sound[0]
        assert np.mean(sound) > 0.3


def test_pictures_are_square_wide_and_upright_with_even_sides() -> None:
    shapes = {next(clean_video(keyed_rng(seed, "test"), RED)).picture.shape for seed in range(40)}
    assert shapes == {(height_px, width_px, 3) for width_px, height_px in SIZES_PX}
    assert all(side_px % 2 == 0 for size_px in SIZES_PX for side_px in size_px)
