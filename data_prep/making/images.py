"""Makes a frame tree of stills from folders of pictures: square frames, each picture or each burst one video."""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from data_prep.making.bursts import Burst, plan_bursts, refuse_names, with_one_video
from data_prep.making.layouts.layout import LayoutRequest
from data_prep.making.layouts.table import FOLDERS, layout_named
from data_prep.making.near_copies import near_copies
from data_prep.making.picture_folders import PictureFile, PictureFolders
from data_prep.making.picture_look import Distinct, Looked, distinct, look_at_pictures, read_picture
from data_prep.making.run import TreeRun, TreeSummary, remove_folder
from data_prep.tree.layout import TREE_TYPES, frame_file_name
from data_prep.tree.shard import Shard
from data_prep.video import (
    HEIC_SUFFIXES,
    JPEG_QUALITY,
    PHOTO_READER,
    Framing,
    crop_note,
    encode_jpeg,
    require_heic,
)
from data_prep.workers.pool import require_processes
from groundwork.cores import default_workers
from groundwork.errors import DataError, UsageError
from groundwork.files import whole_folder
from groundwork.reporting import report_failed
from groundwork.words import counted, listed

_LOG = logging.getLogger("data_prep")

TIME_LIMIT_S = 600.0  # for one picture or one burst; the largest picture takes some seconds
_CLEAN = TREE_TYPES[0]


@dataclass(frozen=True)
class ImageSettings:
    """How a tree of stills is made.

    Attributes:
        size_px: side of the frames.
        shape: a name in framing.SHAPES.
        burst: how many consecutive pictures, by the natural order of their names, are one video.
        clutter: share of each object's videos that become clutter, drawn at random by `seed`; 0 for none.
        clutter_from: a split of SRC whose pictures become clutter, in a tree without splits; "" for none.
        user: the user whose pictures they are; "" to read users from the folders.
        seed: seed of the draw of clutter.
        layout: a name in layouts.table.LAYOUTS.
        list_file: the list for layouts that read one; None for the list in SRC.
    """

    size_px: int = 224
    shape: str = "crop"
    burst: int = 1
    clutter: float = 0.0
    clutter_from: str = ""
    user: str = ""
    seed: int = 0
    layout: str = FOLDERS
    list_file: Path | None = None


USUAL = ImageSettings()


@dataclass(frozen=True)
class StillsRecord:
    """A video's record in the manifest. `mark` is a hash of its source pixels: file names stay out of the tree."""

    frames: int
    mark: str
    reader: str


@dataclass(frozen=True)
class _Job:
    sources: tuple[PictureFile, ...]
    relative: str
    folder: Path
    place: str
    mark: str
    size_px: int
    shape: str


def make_images(
    source: Path,
    out: Path,
    *,
    settings: ImageSettings = USUAL,
    workers: int | None = None,
    time_limit_s: float = TIME_LIMIT_S,
    shard: Shard | None = None,
) -> TreeSummary[StillsRecord]:
    """Convert all pictures in a folder of folders into the frame tree OUT, and write OUT's index.

    Each picture is turned upright, converted to 8-bit RGB and scaled by LANCZOS; metadata is not copied. When an
    interrupted run is called again, it checks all pictures again and makes the missing videos; the result is the same,
    byte for byte, with any number of workers.

    Args:
        source: SRC, see `picture_folders` and `layouts`. Nothing is written there.
        out: new, empty, or begun by the same command.
        settings: size, layout, bursts, clutter.
        workers: processes; by default one per core.
        time_limit_s: seconds after which a picture or a burst counts as failed.
        shard: make only this share of the videos; other shards may work in the same OUT. The same call without a shard
            then writes the manifest and the index. Each shard inspects all pictures, because copies are found by
            comparing all with all.

    Raises:
        UsageError: no pictures, or HEIC without its package; OUT holds something else, or frames made with other
            settings.
        DataError: pictures that belong to no object (nothing is written then); the disk is full; or some pictures
            can't be used. All others are complete and indexed.
    """
    _refuse_nonsense(settings, workers, time_limit_s)
    if not source.is_dir():
        raise UsageError(f"{source}: no such folder; expected a folder of images.")
    made_by = {"verb": "images", **_stated(settings), "quality": JPEG_QUALITY, "resample": "lanczos"}
    run = TreeRun(
        source, out, made_by, _make_burst, StillsRecord, time_limit_s, copies_annotations=False, removes_stale=True
    )
    run.check()
    layout = layout_named(settings.layout)
    with TemporaryDirectory(prefix="orbit-lite-", ignore_cleanup_errors=True) as scratch:
        request = LayoutRequest(
            source,
            user=settings.user,
            clutter_from=settings.clutter_from,
            list_file=settings.list_file,
            scratch=Path(scratch),
        )
        folders = layout.read_checked(request)
        return _make(run, folders, settings, workers=workers or default_workers(), shard=shard)


def _make(
    run: TreeRun[_Job, StillsRecord],
    folders: PictureFolders,
    settings: ImageSettings,
    *,
    workers: int,
    shard: Shard | None,
) -> TreeSummary[StillsRecord]:
    source, out = run.source, run.out
    _refuse_misfit(source, folders, settings)
    _LOG.info("%s: %s", source, _contents(folders.pictures))
    for note in folders.notes if shard is None else ():
        _LOG.warning("note: %s", note)
    looked = look_at_pictures(folders.pictures, workers=workers, time_limit_s=run.time_limit_s)
    taken = distinct(folders.pictures, looked.found)
    bursts = plan_bursts(
        folders.pictures, set(taken.kept), size=settings.burst, clutter=settings.clutter, seed=settings.seed
    )
    refuse_names(source, bursts)
    # the run that joins the shards reports faults and notes
    faults = {**looked.faults, **taken.faults} if shard is None else {}
    for picture in sorted(faults, key=lambda picture: picture.relative):
        report_failed(_LOG, f"{picture.relative}: {faults[picture]}", None)
    if not bursts:
        raise DataError(f"{source}: no usable picture among {len(folders.pictures)}, see above.")
    summary = run.run([_job(burst, looked, out, settings) for burst in bursts], workers=workers, shard=shard)
    for note in _notes(looked, taken, bursts, settings) if shard is None else ():
        _LOG.warning("note: %s", note)
    if faults:
        names = sorted(picture.relative for picture in faults)
        raise DataError(
            f"{source}: {len(faults)} of {counted(len(folders.pictures), 'picture')} can't be used: {listed(names)}."
            f" The others are in {out}. Replace or remove these, then run the same command again."
        )
    return summary


def _refuse_nonsense(settings: ImageSettings, workers: int | None, time_limit_s: float) -> None:
    if settings.size_px < 8:
        raise UsageError(f"size {settings.size_px} px: expected at least 8 px.")
    if settings.burst < 1:
        raise UsageError(f"bursts of {settings.burst}: expected 1 picture or more.")
    if not 0 <= settings.clutter < 1:
        raise UsageError(f"clutter {settings.clutter:g}: expected a share from 0 to below 1.")
    if settings.seed < 0:
        raise UsageError(f"seed {settings.seed}: expected 0 or more.")
    require_processes(workers, time_limit_s)
    Framing(settings.size_px, settings.shape, "lanczos")  # raises for unknown names
    if settings.clutter and settings.clutter_from:
        raise UsageError("clutter is either a share of the pictures or one of the splits, not both.")


def _stated(settings: ImageSettings) -> dict[str, object]:
    """The settings as the manifest has them: without a seed that was not used, and without the default layout."""
    unused = {"list_file"} | (set() if settings.clutter else {"seed"})
    unused |= {"layout"} if settings.layout == FOLDERS else set()
    return {name: value for name, value in asdict(settings).items() if name not in unused}


def _refuse_misfit(source: Path, folders: PictureFolders, settings: ImageSettings) -> None:
    own = sorted({picture.object for picture in folders.pictures if picture.video_type != _CLEAN})
    if settings.clutter and own:
        raise UsageError(f"{source}: already has folders of clutter ({listed(own)}); omit the share of clutter.")
    heic = sum(picture.path.suffix.lower() in HEIC_SUFFIXES for picture in folders.pictures)
    if heic:
        require_heic(f"{source}: {heic} of {counted(len(folders.pictures), 'picture')}")


def _contents(pictures: Sequence[PictureFile]) -> str:
    """How SRC was read, so that a wrong reading is noticed."""
    users = sorted({picture.user for picture in pictures})
    objects = len({(picture.split, *picture.thing) for picture in pictures})
    splits = sorted({picture.split for picture in pictures} - {""})
    of = f", of {counted(len(users), 'user')}: {listed(users)}"
    return (
        f"{counted(len(pictures), 'picture')} of {counted(objects, 'object')}{of}"
        f"{f'; splits {listed(splits)}' if splits else ''}"
    )


def _job(burst: Burst, looked: Looked, out: Path, settings: ImageSettings) -> _Job:
    more = f" and {len(burst.pictures) - 1} more" if len(burst.pictures) > 1 else ""
    pixels = "".join(looked.found[picture].pixels for picture in burst.pictures)
    return _Job(
        sources=burst.pictures,
        relative=burst.first.relative + more,
        folder=out.joinpath(*burst.place),
        place="/".join(burst.place),
        mark=hashlib.sha256(pixels.encode()).hexdigest()[:32],
        size_px=settings.size_px,
        shape=settings.shape,
    )


def _make_burst(job: _Job) -> StillsRecord:
    """Make the folder of one video. Runs in a worker."""
    framing = Framing(job.size_px, job.shape, "lanczos")
    remove_folder(job.folder)
    with whole_folder(job.folder) as folder:
        for number, source in enumerate(job.sources, start=1):
            content = encode_jpeg(framing.square(read_picture(source).picture))
            (folder / frame_file_name(job.folder.name, number)).write_bytes(content)
    return StillsRecord(frames=len(job.sources), mark=job.mark, reader=PHOTO_READER)


def _notes(looked: Looked, taken: Distinct, bursts: Sequence[Burst], settings: ImageSettings) -> Iterator[str]:
    """Notes for the person whose pictures they are, a line each."""
    if taken.copies:
        pairs = [f"{copy.relative} (of {first.relative})" for copy, first in taken.copies]
        yield f"{counted(len(pairs), 'copy', 'copies')} of other pictures of the same object left out: {listed(pairs)}."
    if settings.burst == 1 and (near := near_copies({p: looked.found[p].thumbnail for p in taken.kept})):
        pairs = [f"{one.relative} (like {other.relative})" for one, other in near]
        yield (
            f"{counted(len(pairs), 'picture')} nearly the same as another picture of the same object, perhaps saved"
            f" again in another quality or size: {listed(pairs)}. One may be in the support set and the other in the"
            " query set: remove one of them."
        )
    if several := [picture.relative for picture in taken.kept if looked.found[picture].is_first_of_several]:
        yield f"only the first picture of {counted(len(several), 'animation')} was used: {listed(several)}."
    if settings.shape == "crop":
        sizes = {p.relative: (looked.found[p].width, looked.found[p].height) for p in taken.kept}
        yield from crop_note(sizes, "picture")
    alone = with_one_video(bursts)
    if settings.clutter and alone:
        yield f"no clutter for {counted(len(alone), 'object')} with a single video: {listed(alone)}."
    if settings.clutter and settings.burst == 1 and len(alone) < len(bursts):
        yield (
            "each picture is a separate video. If some were taken in a row, results on the clutter will be too good,"
            " because nearly the same pictures are in the support set: --burst 5 keeps every 5 in a row together."
        )
