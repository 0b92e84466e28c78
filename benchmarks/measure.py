"""Two sides of one comparison, measured in pairs: seconds in turn in this process, peak memory each in a new one."""

import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import torch

from orbit_lite.costs.measuring import Work, added_peak_mb, seconds_of

REPEATS = 3


@dataclass(frozen=True)
class Spread:
    """What repeated measuring of one side gave, in the comparison's unit."""

    median: float
    least: float
    most: float
    repeats: int

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        """Of one value or more."""
        return cls(statistics.median(values), min(values), max(values), len(values))

    @classmethod
    def sum_of(cls, parts: Sequence["Spread"]) -> "Spread":
        """Of work done in parts, each measured as often."""
        median, least, most = (sum(getattr(part, name) for part in parts) for name in ("median", "least", "most"))
        return cls(median, least, most, parts[0].repeats)

    def times(self, factor: float) -> "Spread":
        """In another unit, or scaled to a larger piece of work; factor > 0."""
        return Spread(self.median * factor, self.least * factor, self.most * factor, self.repeats)

    def rate(self, items: int) -> "Spread":
        """Seconds for `items` items as items a second: the least seconds give the most."""
        return Spread(items / self.median, items / self.most, items / self.least, self.repeats)


@dataclass(frozen=True)
class Comparison:
    """One metric of two sides, each with its name. `setting`: what both did. The ratio is the second's to the first's.

    `threads`: of torch, in this process; the memory of a side is measured with the library's own choice.
    `at_most`: what the ratio should not exceed, where a bar is set for it.
    """

    setting: str
    metric: str
    unit: str
    threads: int
    first: tuple[str, Spread]
    second: tuple[str, Spread]
    at_most: float | None = None

    @property
    def ratio(self) -> float:
        """Median of the second side over that of the first; infinite if the first is 0."""
        return self.second[1].median / self.first[1].median if self.first[1].median else float("inf")


def paired_seconds(first: Work, second: Work, *, repeats: int = REPEATS, warm: bool = True) -> tuple[Spread, Spread]:
    """Time both in turn, first second first second …, so that what else the machine does falls on both alike.

    `repeats` >= 1. warm: each runs once before that without being timed; work of minutes needs no such thing.
    """
    one, other = seconds_in_turn([first, second], repeats=repeats, warm=warm)
    return one, other


def seconds_in_turn(
    works: Sequence[Work], *, repeats: int = REPEATS, warm: bool = True, seconds: Callable[[Work], float] | None = None
) -> list[Spread]:
    """The same for any number of sides. seconds: how one is timed; by the clock if not given."""
    if warm:
        for work in works:
            work()
    rounds = [[(seconds or _seconds)(work) for work in works] for _ in range(repeats)]
    return [Spread.of(list(of_one)) for of_one in zip(*rounds, strict=True)]


def cpu_seconds(work: Work) -> float:
    """Processor seconds of this process's threads: what else the machine does at the time is not counted."""
    started_s = time.process_time()
    work()
    return time.process_time() - started_s


def peak_memory_mb(prepare: Callable[[], Work], *, repeats: int = 1, device: str = "cpu") -> Spread:
    """Megabytes (10^6 bytes) that some work adds at its peak to what was there when it had been prepared: resident
    memory of a new process; on `cuda`, memory allocated there.

    Args:
        prepare: makes the inputs, and gives the work; picklable, for on a CPU each repeat runs in a new process.
        repeats: >= 1; memory varies little.

    Returns:
        NaN where it can't be known.

    Raises:
        DataError: if the process is killed, as it is where memory runs out.
    """
    peaks = (added_peak_mb(prepare, torch.device(device)) for _ in range(repeats))
    return Spread.of([math.nan if peak is None else peak for peak in peaks])


@contextmanager
def one_core() -> Iterator[None]:
    """Let torch and OpenCV compute on one core inside the block."""
    torch_threads, cv2_threads = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(torch_threads)
        cv2.setNumThreads(cv2_threads)


def _seconds(work: Work) -> float:
    """By the clock, when all that a GPU was given is done, if one is in use."""
    return seconds_of(work, torch.device("cuda" if torch.cuda.is_initialized() else "cpu"))
