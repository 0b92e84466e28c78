"""The learning curve: how well held-out videos are recognized, as a function of the number of teaching videos."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from groundwork.progress import Progress
from groundwork.randomness import keyed_rng
from orbit_lite.personal.calibrating.leave_out import Teaching, rounds_of_single_videos
from orbit_lite.personal.recognizer import TaughtVideo, label_of_each_frame, video_of_each_frame

DRAWS = 10  # random subsets for each number of videos
MOST_POINTS = 8  # points of the curve; if more are possible, these are spaced by ratio
LEAST_RATIO = 2  # between the numbers of videos that a rise compares; one more video than ten would say little


@dataclass(frozen=True)
class Rise:
    """The effect of more teaching videos on the held-out videos.

    few, many: the two numbers of videos that taught each object. before, after: share of frames recognized with few and
    with many, in [0, 1]. better, worse: how many held-out videos did better with many, and how many worse.
    """

    few: int
    many: int
    before: float
    after: float
    better: int
    worse: int

    @property
    def gain(self) -> float:
        """The increase of the share, in [-1, 1]."""
        return self.after - self.before

    @property
    def p_value(self) -> float:
        """P-value of a one-sided sign test, in (0, 1]: the probability that at least as many videos improve by
        chance."""
        changed = self.better + self.worse
        return sum(math.comb(changed, count) for count in range(self.better, changed + 1)) / 2**changed


@dataclass(frozen=True, eq=False)
class LearningCurve:
    """Frames recognized in each held-out video, for increasing numbers of teaching videos.

    videos_taught: the largest number of videos that taught an object at each point, increasing, (points,); an object
    with fewer other videos was taught with all of them. objects: each held-out video's object, sorted, (videos,).
    frames: frames per held-out video, int64 (videos,). right: how many were recognized, int64 (points, draws, videos).
    """

    videos_taught: tuple[int, ...]
    objects: tuple[str, ...]
    frames: NDArray[np.int64]
    right: NDArray[np.int64]

    @property
    def draws(self) -> int:
        """Number of subsets drawn for each point."""
        return self.right.shape[1]

    def accuracy(self, thing: str = "") -> NDArray[np.float64]:
        """Share of frames recognized in each draw, in [0, 1], (points, draws).

        Args:
            thing: an object, for only its videos and the points for which it has enough videos; "" for all objects.
        """
        points, own = self._of(thing)
        return np.asarray(self.right[:points, :, own].sum(axis=2) / self.frames[own].sum())

    def rise(self, thing: str = "") -> Rise | None:
        """The rise from at most half as many videos to the most; None if there is a single point."""
        points, own = self._of(thing)
        taught = self.videos_taught[:points]
        halves = [point for point, count in enumerate(taught) if LEAST_RATIO * count <= taught[-1]]
        if not halves:
            return None
        few, many = halves[-1], points - 1
        means = self.accuracy(thing).mean(axis=1)
        # integers, so that equal counts compare as equal
        change = self.right[many, :, own].sum(axis=1) - self.right[few, :, own].sum(axis=1)
        return Rise(
            few=taught[few],
            many=taught[many],
            before=float(means[few]),
            after=float(means[many]),
            better=int((change > 0).sum()),
            worse=int((change < 0).sum()),
        )

    def _of(self, thing: str) -> tuple[int, NDArray[np.bool_]]:
        own = np.array([not thing or name == thing for name in self.objects])
        most = int(own.sum()) - 1 if thing else self.videos_taught[-1]
        return sum(count <= most for count in self.videos_taught), own


def learning_curve(teaching: Teaching, *, seed: int, draws: int = DRAWS, quiet: bool = False) -> LearningCurve:
    """Teach with random subsets of the videos, and test on videos that are held out one at a time.

    The last point equals leaving out one video at a time, so the curve shows the effect of more videos, not of a new
    place. Subsets are nested: a draw's two videos are among its three.

    Args:
        teaching: the videos, and how to teach with some of them; at least one object must have two.
        seed: seed of the subsets.
        draws: number of subsets for each number of videos.
        quiet: show no progress.
    """
    videos, todo = teaching.videos, rounds_of_single_videos(teaching.videos)
    held_out = sorted(place for held in todo for place in held)
    column = {place: number for number, place in enumerate(held_out)}
    of_frame, labels = video_of_each_frame(videos), label_of_each_frame(videos)
    counts = videos_counts(len(todo) - 1)
    right = np.zeros((len(counts), draws, len(held_out)), np.int64)
    with Progress("recognizers taught", len(todo) * len(counts) * draws, quiet=quiet) as progress:
        for held in todo:
            columns, asked = [column[place] for place in held], torch.isin(of_frame, torch.tensor(held))
            known: dict[tuple[int, ...], list[int]] = {}  # small subsets are drawn repeatedly
            for draw in range(draws):
                order = _drawn_order(videos, held, seed, draw)
                for point, count in enumerate(counts):
                    chosen = tuple(sorted(place for places in order for place in places[:count]))
                    if chosen not in known:
                        right_frames = _right(teaching, labels, torch.isin(of_frame, torch.tensor(chosen)), asked)
                        known[chosen] = [int(right_frames[of_frame[asked] == place].sum()) for place in held]
                    right[point, draw, columns] = known[chosen]
                    progress.advance()
    return LearningCurve(
        videos_taught=tuple(counts),
        objects=tuple(videos[place].object for place in held_out),
        frames=np.array([len(videos[place].frames) for place in held_out]),
        right=right,
    )


def videos_counts(most: int) -> list[int]:
    """The numbers of videos to try, increasing: all from 1 to `most`, or MOST_POINTS of them spaced by ratio.

    >>> videos_counts(4), videos_counts(14)
    ([1, 2, 3, 4], [1, 2, 3, 4, 5, 7, 10, 14])
    """
    if most <= MOST_POINTS:
        return list(range(1, most + 1))
    counts = [1]
    for left in range(MOST_POINTS - 1, 0, -1):  # each step by the ratio that the remaining steps need, at least by 1
        counts.append(max(counts[-1] + 1, round(counts[-1] * (most / counts[-1]) ** (1 / left))))
    return counts


def _drawn_order(videos: Sequence[TaughtVideo], held: Sequence[int], seed: int, draw: int) -> list[list[int]]:
    """Each object's videos that are not held out, in random order; the first ones teach."""
    held_of = {videos[place].object: videos[place].digest for place in held}
    left: dict[str, list[int]] = {}
    for place in sorted(set(range(len(videos))) - set(held), key=lambda place: videos[place].digest):
        left.setdefault(videos[place].object, []).append(place)
    return [
        keyed_rng(seed, "learning curve", name, held_of.get(name, ""), draw).permutation(places).tolist()
        for name, places in left.items()
    ]


@torch.no_grad()
def _right(teaching: Teaching, labels: Tensor, frames: Tensor, asked: Tensor) -> Tensor:
    """Which of the frames in the mask `asked` a recognizer taught with the mask `frames` recognizes, bool (m,)."""
    taught = teaching.teach(frames)
    return taught.head.logits(taught.features(asked)).argmax(1).cpu() == labels[asked]
