"""Frames that an export is checked on, or that 8-bit values are scaled by: noise, and frames of videos."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.tree.own_videos import OwnVideo, scan_own
from data_prep.tree.packed import ARCHIVE_SUFFIX
from groundwork.errors import AskedWrong, FoundWrong
from groundwork.progress import Progress
from groundwork.randomness import keyed_rng
from orbit_lite.personal.teaching.sampling import SampledVideo, Sampling, Unreadable, sample_videos

Images = NDArray[np.uint8]  # (n, 3, s, s), RGB

GRAINS = (1, 4, 16, 64)  # pixels: from what no camera gives to large patches
NOISES = 5  # of each grain


def noise_images(size_px: int) -> Images:
    """Squares of random colours, of several sizes: always the same, (n, 3, size_px, size_px)."""
    drawn = keyed_rng(0, "export", "noise")
    images = []
    for grain in GRAINS:
        patches = -(-size_px // grain)
        colours = drawn.integers(0, 256, (NOISES, 3, patches, patches), dtype=np.uint8)
        images.append(colours.repeat(grain, axis=2).repeat(grain, axis=3)[:, :, :size_px, :size_px])
    return np.concatenate(images)


def video_images(paths: Sequence[Path], *, size_px: int, most: int) -> tuple[Images, list[str]]:
    """Frames of videos, sampled as for teaching.

    Args:
        paths: videos, and folders or archives of one user (data_prep.tree.own_videos); their clean videos are taken.
        size_px: side of the frames.
        most: frames in all; of more, this many are taken, evenly spread.

    Returns:
        the frames, in the order of the videos, and a line for each video that was left out.

    Raises:
        AskedWrong: if a path is not there.
        FoundWrong: if no video can be read.
    """
    videos = [video for path in paths for video in _videos(path)]
    order = {video: number for number, video in enumerate(videos)}
    read: list[SampledVideo] = []
    notes = []
    with Progress("videos", len(videos)) as progress:
        for found in sample_videos(videos, Sampling.of_protocol(size_px)):
            if isinstance(found, Unreadable):
                notes.append(f"left out, can't be read: {found.reason}")
            else:
                read.append(found)
            progress.advance()
    if not read:
        raise FoundWrong(f"{', '.join(map(str, paths))}: no video that can be read ({notes[0].partition(': ')[2]})")
    pictures = np.concatenate([found.pictures for found in sorted(read, key=lambda found: order[found.video])])
    taken = np.unique(np.linspace(0, len(pictures) - 1, min(most, len(pictures))).round().astype(int))
    return np.ascontiguousarray(pictures[taken].transpose(0, 3, 1, 2)), sorted(notes)


def _videos(path: Path) -> Sequence[OwnVideo]:
    if path.is_dir() or path.name.endswith(ARCHIVE_SUFFIX):
        return scan_own(path).videos
    if not path.is_file():
        raise AskedWrong(f"{path}: no such video or folder")
    return [OwnVideo("", path.parent, path.name, "raw")]
