"""Compares an exported file with its recognizer: their scores on the same frames, and their speed."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from data_prep.tree.own_videos import OwnVideo, scan_own
from data_prep.tree.packed import ARCHIVE_SUFFIX
from groundwork.errors import DataError, UsageError
from groundwork.progress import Progress
from groundwork.randomness import keyed_rng
from orbit_lite.personal.decision.rejection import Certainty, OperatingPoint
from orbit_lite.personal.exporting.formats import Frames, Opened
from orbit_lite.personal.exporting.graph import FLOAT
from orbit_lite.personal.recognizer import PersonalRecognizer
from orbit_lite.personal.teaching.sampling import SampledVideo, Sampling, Unreadable, sample_videos

Images = NDArray[np.uint8]  # (n, 3, s, s), RGB
Scores = Sequence[NDArray[np.floating]]  # in the order of OUTPUTS

GRAINS = (1, 4, 16, 64)  # pixels, from finer than any camera's noise to large patches
NOISES = 5  # images of each grain
CHUNK_FRAMES = 8
WARM_UPS, TIMED_RUNS = 3, 20
LEAST_SPREAD = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class Agreement:
    """How much an exported file's scores differ from the recognizer's.

    frames: number of frames compared. logits, probabilities, familiarity: the largest differences; that of the logits
    in standard deviations of the recognizer's logits. same: share of frames with the same answer, in [0, 1]; a "maybe"
    and "none of these" count as different answers. error: the largest of the three differences, each divided by the
    difference that logits off by one standard deviation and a cosine off by 1 would cause, so that the format is not
    blamed for a calibration that magnifies rounding errors; NaN if one of them is.
    """

    frames: int
    logits: float
    probabilities: float
    familiarity: float
    same: float
    error: float


def compare(personal: PersonalRecognizer, opened: Opened, images: Images, *, takes: str) -> Agreement:
    """Give both the same frames; the file gets them in chunks, and the last frame alone.

    Args:
        personal: the exported recognizer.
        opened: the file.
        images: two or more frames.
        takes: see PersonalGraph.
    """
    frames = as_taken(images, takes)
    starts = [
        *range(0, len(frames) - 1, CHUNK_FRAMES),
        len(frames) - 1,
    ]  # the last frame alone, because any number must work
    parts = [opened.run(frames[start:end]) for start, end in zip(starts, [*starts[1:], len(frames)], strict=True)]
    theirs = [np.concatenate(output) for output in zip(*parts, strict=True)]
    ours = _own(personal, images)
    apart = [float(np.abs(one - other).max()) for one, other in zip(theirs, ours, strict=True)]
    calibration, spread = personal.calibration, max(float(ours[0].std()), LEAST_SPREAD)
    weights = calibration.familiarity.score_weight, calibration.familiarity.cosine_weight
    units = spread, max(1.0, spread / calibration.temperature), max(weights[0] * spread + weights[1], LEAST_SPREAD)
    point = calibration.rejection.point
    same = [one == other for one, other in zip(_answers(theirs, point), _answers(ours, point), strict=True)]
    return Agreement(
        frames=len(frames),
        logits=apart[0] / spread,
        probabilities=apart[1],
        familiarity=apart[2],
        same=float(np.mean(same)),
        error=float(np.max(np.divide(apart, units))),  # not max(), which may pass over a NaN
    )


def median_ms(work: Callable[[], object]) -> float:
    """Median wall time of some work, in milliseconds."""
    for _ in range(WARM_UPS):
        work()
    seconds = []
    for _ in range(TIMED_RUNS):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return 1000 * statistics.median(seconds)


def noise_images(size_px: int) -> Images:
    """Images of squares of random colors, in several sizes; always the same, (n, 3, size_px, size_px)."""
    drawn = keyed_rng(0, "export", "noise")
    images = []
    for grain in GRAINS:
        patches = -(-size_px // grain)
        colors = drawn.integers(0, 256, (NOISES, 3, patches, patches), dtype=np.uint8)
        images.append(colors.repeat(grain, axis=2).repeat(grain, axis=3)[:, :, :size_px, :size_px])
    return np.concatenate(images)


def video_images(paths: Sequence[Path], *, size_px: int, most: int) -> tuple[Images, list[str]]:
    """Read frames of videos, sampled as for teaching.

    Args:
        paths: videos, and folders or archives of one user (data_prep.tree.own_videos), of which clean videos are used.
        size_px: side of the frames.
        most: largest number of frames; if there are more, this many are chosen evenly.

    Returns:
        the frames, in the order of the videos, and a line for each video that was left out.

    Raises:
        UsageError: if a path does not exist.
        DataError: if no video can be read.
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
        raise DataError(f"{', '.join(map(str, paths))}: has no readable video ({notes[0].partition(': ')[2]})")
    pictures = np.concatenate([found.pictures for found in sorted(read, key=lambda found: order[found.video])])
    taken = np.unique(np.linspace(0, len(pictures) - 1, min(most, len(pictures))).round().astype(int))
    return np.ascontiguousarray(pictures[taken].transpose(0, 3, 1, 2)), sorted(notes)


def as_taken(images: Images, takes: str) -> Frames:
    """Convert frames to an exported graph's input, see PersonalGraph."""
    return (images / np.float32(255)).astype(np.float32) if takes == FLOAT else images


def _own(personal: PersonalRecognizer, images: Images) -> Scores:
    """The recognizer's own scores of frames."""
    features = personal.fitted.embed(torch.from_numpy(images))
    logits = personal.fitted.logits_from_features(features).float().cpu().numpy()
    scores = personal.scores_of_features(features)
    return logits, scores.probabilities, scores.familiarity


def _answers(scores: Scores, point: OperatingPoint) -> list[tuple[Certainty, int | None]]:
    """Each frame's answer: its certainty, and the object that it names."""
    _, probabilities, familiarity = scores
    kinds = [point.kind(near, sure) for near, sure in zip(familiarity, probabilities.max(axis=1), strict=True)]
    likeliest = probabilities.argmax(axis=1).tolist()
    return [(kind, None if kind is Certainty.NONE else label) for kind, label in zip(kinds, likeliest, strict=True)]


def _videos(path: Path) -> Sequence[OwnVideo]:
    if path.is_dir() or path.name.endswith(ARCHIVE_SUFFIX):
        return scan_own(path).videos
    if not path.is_file():
        raise UsageError(f"{path}: no such video or folder")
    return [OwnVideo("", path.parent, path.name, "raw")]
