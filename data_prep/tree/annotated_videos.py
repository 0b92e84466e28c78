"""A tree's annotations as arrays; each file is read and checked only once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.tree.annotation_judge import BOX_SIDES, read_annotations
from data_prep.tree.annotations import BOX, ISSUES, require_issues
from data_prep.tree.index import Index, VideoRow
from data_prep.tree.layout import annotation_path
from groundwork.progress import Progress

FALSE, TRUE, NULL = 0, 1, 2  # codes of an issue; NULL also if it is not annotated
_CODES: Mapping[bool | None, int] = {False: FALSE, True: TRUE, None: NULL}


@dataclass(frozen=True, eq=False)
class VideoAnnotations:
    """One video's annotations for n frames: 43 bytes per frame, instead of about 500 for the JSON entries.

    Attributes:
        frames: frame numbers from 1, ascending, int32 (n,).
        issues: codes in the order of ISSUES, int8 (n, 7).
        boxes: x, y, w, h in pixels of a 1080-px frame, float64 (n, 4); NaN if there is no box.
    """

    frames: NDArray[np.int32]
    issues: NDArray[np.int8]
    boxes: NDArray[np.float64]

    @classmethod
    def read(cls, path: Path, frames: int) -> "VideoAnnotations":
        """Read the file of a video with this many frames; raises as `read_annotations` does."""
        found = read_annotations(path, range(1, frames + 1))
        codes = [_CODES[entry.get(issue)] for entry in found.values() for issue in ISSUES]
        nothing = dict.fromkeys(BOX_SIDES, np.nan)
        boxes = [[(entry.get(BOX) or nothing)[side] for side in BOX_SIDES] for entry in found.values()]
        return cls(
            np.array(list(found), np.int32),
            np.array(codes, np.int8).reshape(-1, len(ISSUES)),
            np.array(boxes, np.float64).reshape(-1, len(BOX_SIDES)),
        )

    def frames_without(self, issues: Sequence[str]) -> NDArray[np.int64]:
        """Numbers of the frames that have none of the issues, that is, each is annotated as false.

        Raises:
            UsageError: if an issue is not one of the seven.
        """
        require_issues(issues)
        places = [ISSUES.index(issue) for issue in issues]
        kept: NDArray[np.bool_] = (self.issues[:, places] == FALSE).all(axis=1)
        return self.frames[kept].astype(np.int64)


class TreeAnnotations:
    """The annotations of an indexed tree's videos; a file is read on first use and kept as arrays."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self._read: dict[Path, VideoAnnotations] = {}

    def path(self, row: VideoRow) -> Path:
        """The path of a video's annotation file, whether it exists or not."""
        return annotation_path(self.index.root, row.split, row.video)

    def annotated(self, split: str | None = None) -> list[VideoRow]:
        """The videos of one split, or of all, that have annotations, in the order of the index."""
        return [row for row in self.index.select(split=split) if self.path(row).is_file()]

    def of(self, row: VideoRow) -> VideoAnnotations:
        """One video's annotations.

        Raises:
            DataError: if it has no annotations, or `annotation_judge` finds a fault.
        """
        path = self.path(row)
        if path not in self._read:
            self._read[path] = VideoAnnotations.read(path, row.frames)
        return self._read[path]

    def read_all(self, split: str | None = None, *, quiet: bool = False) -> list[tuple[VideoRow, VideoAnnotations]]:
        """All annotated videos of one split, or of all, with their annotations; raises as `of` does."""
        rows = self.annotated(split)
        unread = [row for row in rows if self.path(row) not in self._read]
        with Progress("annotated videos", len(unread), quiet=quiet or not unread) as progress:
            for row in unread:
                self.of(row)
                progress.advance()
        return [(row, self.of(row)) for row in rows]
