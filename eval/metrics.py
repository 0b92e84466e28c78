"""ORBIT's three metrics, as pure functions of one video's predictions or of many videos' at once.

Source of all three: Massiceti et al. 2021, section 4.2 (arXiv 2104.03841).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Classes = NDArray[np.integer]
Scores = NDArray[np.float64]


def frame_accuracy(predictions: Classes, label: int) -> float:
    """Share of a video's frames that are predicted right; higher is better.

    Args:
        predictions: predicted class of each frame, shape (frames,), frames >= 1.
        label: the video's class.

    Returns:
        a fraction in [0, 1].

    Raises:
        ValueError: if there are no frames.
    """
    return float(np.mean(_frames(predictions) == label))


def frames_to_recognition(predictions: Classes, label: int) -> float:
    """Share of a video that passes before the object is first recognized; lower is better.

    Args:
        predictions: predicted class of each frame, in time order, shape (frames,), frames >= 1.
        label: the video's class.

    Returns:
        index of the first right frame / frames, in [0, 1); 1.0 if no frame is right.

    Raises:
        ValueError: if there are no frames.
    """
    right = _frames(predictions) == label
    return float(np.argmax(right)) / len(right) if right.any() else 1.0


def video_accuracy(predictions: Classes, label: int) -> float:
    """1.0 if the most frequent prediction of a video is right, else 0.0; higher is better. Ties go to the lowest class.

    Args:
        predictions: predicted class of each frame, shape (frames,), frames >= 1.
        label: the video's class.

    Returns:
        0.0 or 1.0.

    Raises:
        ValueError: if there are no frames.
    """
    # classes are ascending, and argmax returns the first
    classes, counts = np.unique(_frames(predictions), return_counts=True)
    return float(classes[np.argmax(counts)] == label)


def confusion_counts(labels: Classes, predictions: Classes, *, way: int) -> NDArray[np.int64]:
    """How many frames of each class were predicted as each class.

    Args:
        labels: true class of each frame, in [0, way), shape (frames,).
        predictions: predicted class of each frame, in [0, way), shape (frames,).
        way: the number of classes.

    Returns:
        counts, shape (way, way): row the true class, column the predicted one.

    Raises:
        ValueError: if there is not one prediction per label, or a class is outside [0, way).
    """
    both = np.stack([labels, predictions]).astype(np.int64)  # raises ValueError if their lengths differ
    if both.size and not 0 <= both.min() <= both.max() < way:
        raise ValueError(f"classes from {both.min()} to {both.max()}; expected 0 to {way - 1}")
    return np.bincount(both[0] * way + both[1], minlength=way * way).reshape(way, way)


@dataclass(frozen=True, eq=False)
class PredictedVideos:
    """The concatenated predictions of many videos, so that a metric takes a few NumPy calls for all of them.

    Attributes:
        predictions: predicted class of each frame, 0 or more, in time order, one video after another, shape (frames,).
        labels: each video's class, shape (videos,).
        counts: each video's number of frames, 1 or more, shape (videos,).
    """

    predictions: Classes
    labels: Classes
    counts: Classes

    def __post_init__(self) -> None:
        if len(self.labels) != len(self.counts) or int(self.counts.sum()) != len(self.predictions):
            raise ValueError(
                f"{len(self.predictions)} predictions for {len(self.labels)} labels and counts of "
                f"{int(self.counts.sum())} frames in {len(self.counts)} videos"
            )
        if len(self.counts) == 0 or int(self.counts.min()) < 1:
            raise ValueError("no videos, or a video without frames")

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """The index where each video's frames start, shape (videos,)."""
        return np.cumsum(self.counts) - self.counts

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        """Whether each frame is predicted right, shape (frames,)."""
        right: NDArray[np.bool_] = self.predictions == np.repeat(self.labels, self.counts)
        return right

    def frame_accuracy(self) -> Scores:
        """frame_accuracy of each video, shape (videos,)."""
        return np.add.reduceat(self.right, self.starts, dtype=np.int64) / self.counts

    def frames_to_recognition(self) -> Scores:
        """frames_to_recognition of each video, shape (videos,)."""
        index = np.arange(len(self.predictions)) - np.repeat(self.starts, self.counts)
        index[~self.right] = np.iinfo(np.int64).max
        return np.minimum(np.minimum.reduceat(index, self.starts), self.counts) / self.counts

    def video_accuracy(self) -> Scores:
        """video_accuracy of each video, shape (videos,)."""
        way = int(self.predictions.max()) + 1
        cell = np.repeat(np.arange(len(self.counts)), self.counts) * way + self.predictions
        votes = np.bincount(cell, minlength=len(self.counts) * way).reshape(-1, way)
        right: Scores = (votes.argmax(axis=1) == self.labels).astype(np.float64)  # argmax returns the lowest class
        return right


@dataclass(frozen=True)
class Metric:
    """One metric: for one video (`function`), for many at once (`of_videos`), and how to interpret it.

    `needs_every_frame`: whether a sample of a video's frames gives a different number on average than the whole video.
    """

    title: str
    higher_is_better: bool
    needs_every_frame: bool
    function: Callable[[Classes, int], float]
    of_videos: Callable[[PredictedVideos], Scores]


METRICS: dict[str, Metric] = {
    "frame_accuracy": Metric("Frame accuracy", True, False, frame_accuracy, PredictedVideos.frame_accuracy),
    "frames_to_recognition": Metric(
        "Frames to recognition", False, True, frames_to_recognition, PredictedVideos.frames_to_recognition
    ),
    "video_accuracy": Metric("Video accuracy", True, True, video_accuracy, PredictedVideos.video_accuracy),
}

# Metrics that are undefined for single images, which have no order in time.
TIME_ORDERED = tuple(name for name, metric in METRICS.items() if metric.needs_every_frame)


def _frames(predictions: Classes) -> Classes:
    if predictions.ndim != 1 or predictions.size == 0:
        raise ValueError(f"predictions of shape {predictions.shape}; expected one dimension with at least one frame")
    return predictions
