"""All annotations of a tree as one table, one row per annotated frame, with boxes in the tree's own pixels."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_prep.tree.annotated_videos import NULL, TRUE, TreeAnnotations
from data_prep.tree.annotation_judge import ANNOTATED_SIZE_PX, BOX_SIDES
from data_prep.tree.annotations import FILTERS, ISSUES, FrameFilter
from data_prep.tree.index import Index, VideoRow, open_index
from data_prep.tree.layout import ANNOTATIONS
from data_prep.tree.stored_frames import stored_frames
from data_prep.video import decode_jpeg
from groundwork.errors import DataError, UsageError

BOX_COLUMNS = tuple(f"box_{side}" for side in BOX_SIDES)
PLACE_COLUMNS = ("split", "user", "object", "video_type", "video")


def annotation_table(root: Path, *, split: str | None = None, frame_size_px: int | None = None) -> pd.DataFrame:
    """Load the annotations of a tree, or of one split.

    Args:
        root: a tree of frames, of packed users or of raw videos; its index is checked, or built.
        split: one of the tree's; None for all.
        frame_size_px: side of the frames that boxes are scaled to; by default that of the tree's first annotated
            frame. Required for a raw tree, which has no frames yet.

    Returns:
        One row per annotated frame, in the order of the index and then of the frames. Columns: split, user, object,
        video_type, video (category), frame (int32, from 1), the seven issues (pandas' nullable boolean: <NA> if it is
        null or, for a clutter video, not annotated), box_x, box_y, box_w, box_h (float64, in pixels of the frame, from
        `scale_boxes`; NaN if there is no box).

    Raises:
        UsageError: for an unknown split, a frame size below 1, or a raw tree without a frame size.
        DataError: if no video is annotated, or `annotation_judge` finds a fault.
    """
    return table_of(TreeAnnotations(open_index(root)), split=split, frame_size_px=frame_size_px)


def table_of(
    annotations: TreeAnnotations, *, split: str | None = None, frame_size_px: int | None = None
) -> pd.DataFrame:
    """As `annotation_table`, for a tree whose index is open and whose files may have been read already."""
    index, root = annotations.index, annotations.index.root
    if split is not None and split not in index.splits:
        raise UsageError(f"{root}: no split {split!r}; it has {', '.join(filter(None, index.splits)) or 'none'}.")
    if frame_size_px is not None and frame_size_px < 1:
        raise UsageError(f"frame size {frame_size_px} px: expected at least 1.")
    rows = annotations.annotated(split)
    if not rows:
        raise DataError(
            f"{root / ANNOTATIONS}: has no annotations of this tree's videos; put ORBIT's annotations there."
        )
    size_px = frame_size_px or _frame_size(index, rows[0])
    videos = [video for _, video in annotations.read_all(split)]
    counts = [len(video.frames) for video in videos]
    columns: dict[str, Any] = {name: _repeated([getattr(row, name) for row in rows], counts) for name in PLACE_COLUMNS}
    columns["frame"] = np.concatenate([video.frames for video in videos])
    codes = np.concatenate([video.issues for video in videos])
    for issue, column in zip(ISSUES, codes.T, strict=True):
        columns[issue] = pd.arrays.BooleanArray(column == TRUE, column == NULL)
    boxes = scale_boxes(np.concatenate([video.boxes for video in videos]), size_px)
    columns |= dict(zip(BOX_COLUMNS, boxes.T, strict=True))
    return pd.DataFrame(columns)


def select_rows(table: pd.DataFrame, frame_filter: FrameFilter) -> pd.DataFrame:
    """The rows of an annotation table that a filter keeps, which are those of the frames from `select_frames`."""
    kept = [
        np.logical_and.reduce([(table[issue] == wanted).to_numpy(bool, na_value=False) for issue, wanted in conditions])
        for conditions in map(FILTERS.__getitem__, frame_filter.names)
    ]
    every = frame_filter.how == "all_of"
    combine = np.logical_and if every else np.logical_or
    return table[combine.reduce([np.full(len(table), every), *kept])]


def scale_boxes(boxes: NDArray[np.floating[Any]], frame_size_px: int) -> NDArray[np.float64]:
    """Scale boxes from ORBIT's 1080-px frames to square frames of another size.

    Boxes are clipped to the frame; a box without area inside it becomes NaN. Sides are not rounded.

    Args:
        boxes: x, y (of the top left corner), w, h in pixels of a 1080-px frame, shape (n, 4); NaN if there is no box.
        frame_size_px: side of the frames.

    Returns:
        x, y, w, h in pixels of the frame, float64, shape (n, 4): 0 <= x, x + w <= frame_size_px, w > 0; the same for y.
    """
    corners = np.stack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1) * (frame_size_px / ANNOTATED_SIZE_PX)
    near, far = np.clip(corners, 0, frame_size_px).transpose(1, 0, 2)
    scaled = np.concatenate([near, far - near], axis=1).astype(np.float64)
    scaled[~(far > near).all(axis=1)] = np.nan
    return scaled


def _frame_size(index: Index, row: VideoRow) -> int:
    """Side of a video's first frame, in pixels. `verify` finds trees whose frames differ in size."""
    if index.kind == "raw":
        raise UsageError(
            f"{index.root}: holds raw videos, whose frames have no size yet; give the frame size for boxes."
        )
    place, content = next(stored_frames(index.root, row))
    try:
        height, width = map(int, decode_jpeg(content).shape[:2])
    except DataError as error:
        raise DataError(f"{place}: {error} Run 'orbit-lite prep verify {index.root}'.") from None
    if height != width:
        raise DataError(f"{place}: {width} x {height} px, expected a square frame.")
    return height


def _repeated(values: list[str], counts: list[int]) -> pd.Categorical:
    """Each value once per frame of its video: 1 to 4 bytes per row, where strings would take 60."""
    found = pd.Categorical(values)
    return pd.Categorical.from_codes(np.repeat(found.codes, counts), categories=found.categories)
