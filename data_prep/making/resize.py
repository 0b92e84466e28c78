"""Makes a frame tree of another size from a frame tree, as the published 224-px set was made from the 1080-px one.

As for the published set, Pillow reads, resizes (LANCZOS) and writes (JPEG quality 95); only pixels are written.
"""

import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps

from data_prep.making.run import TreeRun, TreeSummary, remove_folder
from data_prep.tree.index import Index, VideoRow, open_index
from data_prep.tree.layout import frame_file_name
from data_prep.tree.stored_frames import stored_frames
from data_prep.video import JPEG_QUALITY
from data_prep.workers.pool import require_processes
from groundwork.errors import DataError, UsageError
from groundwork.files import whole_folder

TIME_LIMIT_S = 3600.0  # the longest published video, 3,596 frames of 1080 px, takes about a minute on one core


@dataclass(frozen=True)
class ResizeRecord:
    """A video's record in the manifest. `mark` is the fingerprint of the frames it was made from."""

    frames: int
    mark: str
    size_before_px: int


@dataclass(frozen=True)
class _Job:
    root: Path
    row: VideoRow
    folder: Path
    place: str
    size_px: int

    @property
    def relative(self) -> str:
        return self.row.path

    @property
    def mark(self) -> str:
        return self.row.fingerprint


def resize(
    tree: Path, out: Path, *, size_px: int = 224, workers: int | None = None, time_limit_s: float = TIME_LIMIT_S
) -> TreeSummary[ResizeRecord]:
    """Write every frame of a tree at another size into the frame tree OUT, copy its annotations, and write its index.

    Annotated boxes stay in 1080-px coordinates, as in trees of every size. An interrupted run resumes when it is called
    again; the result is the same, byte for byte.

    Args:
        tree: a frame tree or a packed one, of square frames; its index is checked, or built.
        out: new, empty, or begun by the same command.
        size_px: side of the frames to make.
        workers: processes; by default one per core.
        time_limit_s: seconds after which a video counts as failed.

    Raises:
        UsageError: TREE holds raw videos; OUT holds something else, or frames made in another way.
        DataError: the tree contradicts its index, the disk is full, or some videos failed (a frame does not decode or
            is not square). All others are complete and indexed.
    """
    if size_px < 8:
        raise UsageError(f"size {size_px} px: expected at least 8 px.")
    require_processes(workers, time_limit_s)
    made_by = {"verb": "resize", "size_px": size_px, "quality": JPEG_QUALITY, "resample": "lanczos"}
    run = TreeRun(tree, out, made_by, _resize_video, ResizeRecord, time_limit_s)
    index = open_index(tree)
    if index.kind == "raw":
        raise UsageError(f"{tree}: holds raw videos; 'prep extract --size {size_px}' makes frames from them.")
    return run.run([_job(index, row, out, size_px) for row in index.rows], workers=workers)


def _job(index: Index, row: VideoRow, out: Path, size_px: int) -> _Job:
    parts = [part for part in (row.split, row.user, row.object, row.video_type, row.video) if part]
    return _Job(index.root, row, out.joinpath(*parts), "/".join(parts), size_px)


def _resize_video(job: _Job) -> ResizeRecord:
    """Make the folder of one video. Runs in a worker."""
    remove_folder(job.folder)
    before_px = 0
    with whole_folder(job.folder) as folder:
        for number, (place, content) in enumerate(stored_frames(job.root, job.row), start=1):
            try:
                before_px, resized = resize_jpeg(content, job.size_px)
            except DataError as error:
                raise DataError(f"{place}: {error}") from None
            (folder / frame_file_name(job.row.video, number)).write_bytes(resized)
    return ResizeRecord(frames=job.row.frames, mark=job.mark, size_before_px=before_px)


def resize_jpeg(content: bytes, size_px: int) -> tuple[int, bytes]:
    """Resize one square JPEG picture.

    Returns:
        its previous side in pixels, and the new JPEG file, without metadata.

    Raises:
        DataError: if it does not decode to its end, or is not square. The caller names the file.
    """
    try:
        picture = ImageOps.exif_transpose(Image.open(io.BytesIO(content), formats=["JPEG"])).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"does not decode as a JPEG picture ({error}); make or copy it again.") from None
    if picture.width != picture.height:
        raise DataError(f"{picture.width} x {picture.height} px, expected a square frame.")
    resized = picture.resize((size_px, size_px), Image.Resampling.LANCZOS)
    resized.info = {}  # otherwise a comment would be copied
    file = io.BytesIO()
    resized.save(file, "JPEG", quality=JPEG_QUALITY)
    return picture.width, file.getvalue()
