import json
import shutil

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.making.pack import pack
from data_prep.tree.annotation_judge import ANNOTATED_SIZE_PX, read_annotations
from data_prep.tree.annotation_table import (
    BOX_COLUMNS,
    PLACE_COLUMNS,
    annotation_table,
    scale_boxes,
    select_rows,
)
from data_prep.tree.annotations import BOX, FILTERS, ISSUES, NOT_PRESENT, all_of, any_of, select_frames
from data_prep.tree.index import build_index, open_index
from data_prep.tree.layout import annotation_path
from groundwork.errors import DataError, UsageError

CLEAN, CLUTTER = "ann--my-keys--clean--a", "ben--cup--clutter--b--c"
PLACES = {f"train/ann/my keys/clean/{CLEAN}": 3, f"test/ben/cup/clutter/{CLUTTER}": 4, "test/ben/cup/clean/bare": 2}


@pytest.fixture
def tree(tmp_path):
    """Three videos of 54-px frames, one without annotations; 54 px is 1080 / 20."""
    root = tmp_path / "tree"
    picture = cv2.imencode(".jpg", np.zeros((54, 54, 3), np.uint8))[1].tobytes()
    for place, frames in PLACES.items():
        folder = root / place
        folder.mkdir(parents=True)
        for k in range(1, frames + 1):
            (folder / f"{folder.name}-{k:05d}.jpg").write_bytes(picture)
    clear = dict.fromkeys(ISSUES, False)
    annotate(root, "train", CLEAN, [clear, clear | {"blur_issue": True}, dict.fromkeys(ISSUES) | {NOT_PRESENT: True}])
    boxes = [{"x": 100, "y": 200, "w": 300, "h": 400}, None, {"x": -1, "y": 1000, "w": 41, "h": 120.5}]
    boxes.append({"x": 1060, "y": 0, "w": 1080, "h": 20})
    annotate(root, "test", CLUTTER, [{BOX: box, NOT_PRESENT: box is None} for box in boxes])
    build_index(root)
    return root


def annotate(root, split, video, entries):
    path = annotation_path(root, split, video)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({f"{video}-{k:05d}.jpg": entry for k, entry in enumerate(entries, 1)}))


def test_one_row_per_annotated_frame_with_null_distinguished(tree):
    table = annotation_table(tree)
    assert tuple(table.columns) == (*PLACE_COLUMNS, "frame", *ISSUES, *BOX_COLUMNS)
    assert table[["split", "user", "object", "video_type", "video", "frame"]].to_numpy().tolist() == [
        *(["test", "ben", "cup", "clutter", CLUTTER, k] for k in (1, 2, 3, 4)),
        *(["train", "ann", "my keys", "clean", CLEAN, k] for k in (1, 2, 3)),
    ]
    assert all(table[issue].dtype == "boolean" for issue in ISSUES)
    assert table["blur_issue"].tolist() == [pd.NA] * 4 + [False, True, pd.NA]
    assert table[NOT_PRESENT].tolist() == [False, True, False, False, False, False, True]


def test_boxes_are_in_the_trees_own_pixels(tree):
    """1080 px to 54 px: a twentieth. The third box extends beyond the frame on two sides, the fourth on one."""
    boxes = annotation_table(tree)[list(BOX_COLUMNS)].to_numpy()
    expected = np.full((7, 4), np.nan)
    expected[0] = [5, 10, 15, 20]
    expected[2] = [0, 50, 2, 4]  # -1..40 becomes 0..40; 1000..1120.5 becomes 1000..1080
    expected[3] = [53, 0, 1, 1]  # 1060..2140 becomes 1060..1080
    np.testing.assert_allclose(boxes, expected)
    twice = annotation_table(tree, frame_size_px=108)[list(BOX_COLUMNS)].to_numpy()
    np.testing.assert_allclose(twice, 2 * expected)


@given(st.lists(st.tuples(*[st.floats(0, ANNOTATED_SIZE_PX)] * 4), min_size=1), st.integers(8, 4320))
def test_boxes_in_the_frame_can_be_scaled_back_and_all_stay_inside(corners, size_px):
    array = np.array(corners)
    near, far = np.minimum(array[:, :2], array[:, 2:]), np.maximum(array[:, :2], array[:, 2:])
    boxes = np.concatenate([near, far - near], axis=1)
    scaled = scale_boxes(boxes, size_px)
    some = ~np.isnan(scaled).any(axis=1)
    assert (np.isnan(scaled).all(axis=1) == ~some).all()  # all four sides or none
    assert some[(boxes[:, 2:] > 1e-6).all(axis=1)].all()
    np.testing.assert_allclose(scaled[some] * (ANNOTATED_SIZE_PX / size_px), boxes[some], atol=1e-6)
    back = scale_boxes(scale_boxes(boxes * 3 - ANNOTATED_SIZE_PX, size_px), size_px)  # mostly beyond the frame
    inside = back[~np.isnan(back).any(axis=1)]
    assert (inside >= 0).all() and (inside[:, :2] + inside[:, 2:] <= size_px * (1 + 1e-9)).all()


@pytest.mark.parametrize("box", [(5, 5, 0, 4), (5, 5, 4, 0), (-4, 5, 4, 4), (5, 1080, 4, 4), (1081, 5, 4, 4)])
def test_a_box_without_area_in_the_frame_becomes_nan(box):
    assert np.isnan(scale_boxes(np.array([box], np.float64), 54)).all()
    x, y, w, h = box
    grown = scale_boxes(np.array([[x - 2, y - 2, w + 4, h + 4]], np.float64), 54)
    assert (grown[:, 2:] > 0).all()


def test_the_table_and_the_frames_agree_on_every_filter(tree):
    table = annotation_table(tree)
    names = sorted(FILTERS)
    filters = [combine(*names[k : k + n]) for combine in (all_of, any_of) for n in (1, 2, 3) for k in range(len(names))]
    filters += [all_of(), any_of("no_issues", NOT_PRESENT)]
    rows = [row for row in open_index(tree).rows if row.video != "bare"]
    for frame_filter in filters:
        expected = [
            (row.video, frame)
            for row in rows
            for frame in select_frames(read_annotations(annotation_path(tree, row.split, row.video)), frame_filter)
        ]
        found = select_rows(table, frame_filter)
        assert list(zip(found["video"], found["frame"], strict=True)) == expected, str(frame_filter)
    assert len(select_rows(table, all_of("no_issues"))) == 1
    assert len(select_rows(table, any_of("no_issues", NOT_PRESENT))) == 3


def test_one_split(tree):
    assert set(annotation_table(tree, split="train")["video"]) == {CLEAN}
    with pytest.raises(UsageError, match="no split 'validation'; it has train, test"):
        annotation_table(tree, split="validation")


def test_a_packed_tree_gives_the_same_table(tree, tmp_path):
    pack(tree, tmp_path / "packed")
    pd.testing.assert_frame_equal(annotation_table(tmp_path / "packed"), annotation_table(tree))


def test_the_raw_and_frame_trees_of_the_pocket_set_give_the_same_table(pocket_raw, pocket_frames):
    with pytest.raises(UsageError, match="give the frame size"):
        annotation_table(pocket_raw)
    raw, table = annotation_table(pocket_raw, frame_size_px=224), annotation_table(pocket_frames)
    pd.testing.assert_frame_equal(raw, table)
    assert len(table) == sum(row.frames for row in open_index(pocket_frames).rows)
    clutter = table[table["video_type"] == "clutter"]
    assert clutter["blur_issue"].isna().all() and not clutter[NOT_PRESENT].isna().any()
    assert (clutter["box_w"].isna() == clutter[NOT_PRESENT]).all()


def test_a_faulty_file_and_missing_annotations_are_named(tree):
    annotate(tree, "test", CLUTTER, [{BOX: {"x": float("nan"), "y": 2, "w": 3, "h": 4}}] + [{}] * 3)
    with pytest.raises(DataError, match=rf"{CLUTTER}\.json: {CLUTTER}-00001\.jpg: {BOX} is"):
        annotation_table(tree)
    annotate(tree, "test", CLUTTER, [{}] * 5)
    with pytest.raises(DataError, match=rf"{CLUTTER}\.json: {CLUTTER}-00005\.jpg: no such frame"):
        annotation_table(tree)
    shutil.rmtree(tree / "annotations")
    with pytest.raises(DataError, match="no annotations"):
        annotation_table(tree)
    with pytest.raises(UsageError, match="at least 1"):
        annotation_table(tree, frame_size_px=0)


def test_a_first_frame_that_is_broken_or_not_square_is_named(tree):
    frame = tree / "test/ben/cup/clutter" / CLUTTER / f"{CLUTTER}-00001.jpg"
    picture = cv2.imencode(".jpg", np.zeros((54, 64, 3), np.uint8))[1].tobytes()
    for content, message in ((picture, "64 x 54 px, expected a square frame"), (picture[:40], "cut off or damaged")):
        frame.write_bytes(content)
        build_index(tree)
        with pytest.raises(DataError, match=rf"{CLUTTER}-00001\.jpg: .*{message}"):
            annotation_table(tree)
