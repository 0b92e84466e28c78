"""An exported file beside the recogniser it was made from: what both say of the same frames, and how long they take."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from orbit_lite.personal.exporting.export_frames import Images
from orbit_lite.personal.exporting.formats import Answers, Frames, Opened
from orbit_lite.personal.exporting.graph import FLOAT
from orbit_lite.personal.recognizer import PersonalRecognizer

CHUNK_FRAMES = 8
WARM_UPS, TIMED_RUNS = 3, 20


@dataclass(frozen=True)
class Agreement:
    """How far an exported file's answers are from the recogniser's.

    frames: how many both were given. logits: the largest difference, in standard deviations of the recogniser's
    logits. familiarity: the largest difference. same: share of frames with the same answer, in [0, 1]; "none of these"
    is an answer, too.
    """

    frames: int
    logits: float
    familiarity: float
    same: float


def compare(personal: PersonalRecognizer, opened: Opened, images: Images, *, takes: str) -> Agreement:
    """Give both the same frames; the file gets them in chunks, the last one (if need be) alone.

    Args:
        personal: what was exported.
        opened: the file.
        images: two frames or more.
        takes: as PersonalGraph.
    """
    frames = as_taken(images, takes)
    starts = [*range(0, len(frames) - 1, CHUNK_FRAMES), len(frames) - 1]  # the last frame alone: any number must do
    parts = [opened.run(frames[start:end]) for start, end in zip(starts, [*starts[1:], len(frames)], strict=True)]
    logits, _, near = (np.concatenate(output) for output in zip(*parts, strict=True))
    own_logits, own_near = _own(personal, images)
    threshold = personal.threshold.value
    same = _answers(logits, near, threshold) == _answers(own_logits, own_near, threshold)
    return Agreement(
        frames=len(frames),
        logits=float(np.abs(logits - own_logits).max() / max(float(own_logits.std()), np.finfo(np.float32).tiny)),
        familiarity=float(np.abs(near - own_near).max()),
        same=float(same.mean()),
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


def as_taken(images: Images, takes: str) -> Frames:
    """Frames as an exported graph takes them, see PersonalGraph."""
    return (images / np.float32(255)).astype(np.float32) if takes == FLOAT else images


def _own(personal: PersonalRecognizer, images: Images) -> Answers:
    """The recogniser's own logits and familiarity."""
    features = personal.fitted.embed(torch.from_numpy(images))
    logits = personal.fitted.logits_from_features(features)
    return logits.float().cpu().numpy(), personal.scores_of_features(features).familiarity


def _answers(logits: NDArray[np.float32], near: NDArray[np.float32], threshold: float | None) -> NDArray[np.int64]:
    """Class of each frame, or -1 for none of these."""
    known = near >= (-np.inf if threshold is None else threshold)
    return np.where(known, logits.argmax(1), -1)
