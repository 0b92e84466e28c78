"""All annotations of a tree as one table, a row an annotated frame, with boxes in the tree's own pixels."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_prep.annotations import BOX, FILTERS, ISSUES, FrameAnnotations, FrameFilter, read_annotations
from data_prep.index import Index, VideoRow, open_index
from data_prep.layout import ANNOTATIONS, annotation_path
from data_prep.stored import stored_frames
from data_prep.video import decode_jpeg
from groundwork.errors import AskedWrong, FoundWrong
from groundwork.progress import Progress

BOX_SIDES = ("x", "y", "w", "h")
BOX_COLUMNS = tuple(f"box_{side}" for side in BOX_SIDES)
PLACE_COLUMNS = ("split", "user", "object", "video_type", "video")
ANNOTATED_SIZE_PX = 1080  # of the square frames that ORBIT's boxes were drawn on

FARTHEST_PX = 1e6  # a side beyond this is no annotation

_FALSE, _TRUE, _NULL = 0, 1, 2
_CODES: Mapping[bool | None, int] = {False: _FALSE, True: _TRUE, None: _NULL}


@dataclass(frozen=True, eq=False)
class _Annotated:
    """One video's annotations as arrays, for n frames."""

    frames: NDArray[np.int32]  # (n,), numbers from 1
    issues: NDArray[np.int8]  # (n, 7), codes
    boxes: NDArray[np.float64]  # (n, 4), NaN without a box


def annotation_table(root: Path, *, split: str | None = None, frame_size_px: int | None = None) -> pd.DataFrame:
    """Load the annotations of a tree, or of one split.

    Args:
        root: a tree of frames, of packed users or of raw videos; its index is checked, or built.
        split: one of the tree's; None for all.
        frame_size_px: side of the frames that boxes are scaled to; by default that of the tree's first annotated
            frame. A raw tree has no frames yet, so it must be said.

    Returns:
        One row an annotated frame, in the order of the index and then of the frames. Columns: split, user, object,
        video_type, video (category), frame (int32, from 1), the seven issues (pandas' nullable boolean: <NA> where it
        is null or, for a clutter video, not annotated at all), box_x, box_y, box_w, box_h (float64, px of the frame,
        as `scale_boxes` has them; NaN without a box).

    Raises:
        AskedWrong: for an unknown split, a frame size below 1, or none with a raw tree.
        FoundWrong: if no video is annotated, or annotations are not of the form, or not of the video they stand for.
    """
    index = open_index(root)
    if split is not None and split not in index.splits:
        raise AskedWrong(f"{root}: no split {split!r}; it has {', '.join(filter(None, index.splits)) or 'none'}.")
    if frame_size_px is not None and frame_size_px < 1:
        raise AskedWrong(f"frame size {frame_size_px} px: expected at least 1.")
    rows = [row for row in index.select(split=split) if annotation_path(root, row.split, row.video).is_file()]
    if not rows:
        raise FoundWrong(f"{root / ANNOTATIONS}: no annotations of a video of this tree; put ORBIT's there.")
    size_px = frame_size_px or _frame_size(index, rows[0])
    with Progress("annotated videos", len(rows)) as progress:
        videos = []
        for row in rows:
            videos.append(_read(root, row))
            progress.advance()
    counts = [len(video.frames) for video in videos]
    columns: dict[str, Any] = {name: _repeated([getattr(row, name) for row in rows], counts) for name in PLACE_COLUMNS}
    columns["frame"] = np.concatenate([video.frames for video in videos])
    codes = np.concatenate([video.issues for video in videos])
    for issue, column in zip(ISSUES, codes.T, strict=True):
        columns[issue] = pd.arrays.BooleanArray(column == _TRUE, column == _NULL)
    boxes = scale_boxes(np.concatenate([video.boxes for video in videos]), size_px)
    columns |= dict(zip(BOX_COLUMNS, boxes.T, strict=True))
    return pd.DataFrame(columns)


def select_rows(table: pd.DataFrame, frame_filter: FrameFilter) -> pd.DataFrame:
    """The rows of an annotation table that a filter keeps: those whose frames `select_frames` gives."""
    kept = [
        np.logical_and.reduce([(table[issue] == wanted).to_numpy(bool, na_value=False) for issue, wanted in conditions])
        for conditions in map(FILTERS.__getitem__, frame_filter.names)
    ]
    every = frame_filter.how == "all_of"
    combine = np.logical_and if every else np.logical_or
    return table[combine.reduce([np.full(len(table), every), *kept])]


def scale_boxes(boxes: NDArray[np.floating[Any]], frame_size_px: int) -> NDArray[np.float64]:
    """Boxes from ORBIT's 1080-px frames on square frames of another size.

    What reaches beyond the frame is cut off; a box with no area inside is none: NaN. Sides are not rounded.

    Args:
        boxes: x, y (of the top left corner), w, h in 1080-px pixels, shape (n, 4); NaN without a box.
        frame_size_px: side of the frames.

    Returns:
        x, y, w, h in px of the frame, float64, shape (n, 4): 0 <= x, x + w <= frame_size_px, w > 0, and so for y.
    """
    corners = np.stack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1) * (frame_size_px / ANNOTATED_SIZE_PX)
    near, far = np.clip(corners, 0, frame_size_px).transpose(1, 0, 2)
    scaled = np.concatenate([near, far - near], axis=1).astype(np.float64)
    scaled[~(far > near).all(axis=1)] = np.nan
    return scaled


def _frame_size(index: Index, row: VideoRow) -> int:
    """Side of a video's first frame, in px. `verify` finds trees whose frames differ in size."""
    if index.kind == "raw":
        raise AskedWrong(f"{index.root}: raw videos, so frames have no size yet; say which frame size boxes are for.")
    place, content = next(stored_frames(index.root, row))
    try:
        height, width = map(int, decode_jpeg(content).shape[:2])
    except FoundWrong as error:
        raise FoundWrong(f"{place}: {error} Run 'orbit-lite prep verify {index.root}'.") from None
    if height != width:
        raise FoundWrong(f"{place}: {width} x {height} px, expected a square frame.")
    return height


def _read(root: Path, row: VideoRow) -> _Annotated:
    path = annotation_path(root, row.split, row.video)
    annotations = read_annotations(path)
    numbers = list(annotations)
    if numbers and not 1 <= numbers[0] <= numbers[-1] <= row.frames:
        raise FoundWrong(
            f"{path}: annotations for frames {numbers[0]} to {numbers[-1]}, {row.frames} frames in the index;"
            " they are not of this video."
        )
    codes = [_CODES[entry.get(issue)] for entry in annotations.values() for issue in ISSUES]
    issues = np.array(codes, np.int8).reshape(-1, len(ISSUES))
    return _Annotated(np.array(numbers, np.int32), issues, _boxes(path, annotations))


def _boxes(path: Path, annotations: FrameAnnotations) -> NDArray[np.float64]:
    boxes = np.full((len(annotations), 4), np.nan)
    for box, (number, entry) in zip(boxes, annotations.items(), strict=True):
        found = entry.get(BOX)
        if found is None:
            continue
        sides = [found.get(side) for side in BOX_SIDES] if isinstance(found, dict) else [None]
        if all(isinstance(side, int | float) and abs(side) < FARTHEST_PX for side in sides):
            box[:] = sides
        if not (box[2:] >= 0).all():  # NaN still, or negative
            raise FoundWrong(
                f"{path}: frame {number}: {BOX} is {found!r}; expected null or numbers x, y, w, h with w, h >= 0."
            )
    return boxes


def _repeated(values: list[str], counts: list[int]) -> pd.Categorical:
    """Each value as often as its video has frames: 1 to 4 bytes a row, where strings would take 60."""
    found = pd.Categorical(values)
    return pd.Categorical.from_codes(np.repeat(found.codes, counts), categories=found.categories)
