"""Measures the two sides of a comparison: seconds alternately in this process, peak memory each in a new process."""

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
    """The results of repeated measurements of one side, in the comparison's unit."""

    median: float
    least: float
    most: float
    repeats: int

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        """Summarize one or more values."""
        return cls(statistics.median(values), min(values), max(values), len(values))

    @classmethod
    def sum_of(cls, parts: Sequence["Spread"]) -> "Spread":
        """The sum over parts that were measured equally often."""
        median, least, most = (sum(getattr(part, name) for part in parts) for name in ("median", "least", "most"))
        return cls(median, least, most, parts[0].repeats)

    def times(self, factor: float) -> "Spread":
        """Convert to another unit, or scale to a larger piece of work; factor > 0."""
        return Spread(self.median * factor, self.least * factor, self.most * factor, self.repeats)

    def rate(self, items: int) -> "Spread":
        """Convert seconds for `items` items to items per second; the fewest seconds give the highest rate."""
        return Spread(items / self.median, items / self.most, items / self.least, self.repeats)


@dataclass(frozen=True)
class Comparison:
    """One metric of two named sides. `setting`: the work of both. The ratio is the second side's value over the
    first's. `threads`: torch's threads in this process; memory is measured with torch's default. `at_most`: the target
    for the ratio, if there is one."""

    setting: str
    metric: str
    unit: str
    threads: int
    first: tuple[str, Spread]
    second: tuple[str, Spread]
    at_most: float | None = None

    @property
    def ratio(self) -> float:
        """The median of the second side over that of the first; infinite if the first is 0."""
        return self.second[1].median / self.first[1].median if self.first[1].median else float("inf")


def paired_seconds(first: Work, second: Work, *, repeats: int = REPEATS, warm: bool = True) -> tuple[Spread, Spread]:
    """Time both alternately (first, second, first, …), so that other work on the machine affects both equally.
    `repeats` >= 1. warm: run each once before, without timing; work of several minutes does not need this."""
    one, other = seconds_in_turn([first, second], repeats=repeats, warm=warm)
    return one, other


def seconds_in_turn(
    works: Sequence[Work], *, repeats: int = REPEATS, warm: bool = True, seconds: Callable[[Work], float] | None = None
) -> list[Spread]:
    """The same for any number of sides. seconds: how to time one; the default is by the clock."""
    if warm:
        for work in works:
            work()
    rounds = [[(seconds or _seconds)(work) for work in works] for _ in range(repeats)]
    return [Spread.of(list(of_one)) for of_one in zip(*rounds, strict=True)]


def cpu_seconds(work: Work) -> float:
    """CPU seconds of this process's threads, which exclude other work on the machine."""
    started_s = time.process_time()
    work()
    return time.process_time() - started_s


def peak_memory_mb(prepare: Callable[[], Work], *, repeats: int = 1, device: str = "cpu") -> Spread:
    """Peak memory of some work in megabytes (10^6 bytes), beyond the memory in use after its preparation: resident
    memory of a new process, or, on `cuda`, memory allocated there.

    Args:
        prepare: makes the inputs and returns the work; picklable, because on a CPU each repeat runs in a new process.
        repeats: >= 1; few are enough, because memory varies little.

    Returns:
        NaN if it can't be measured.

    Raises:
        DataError: if the process is killed, which happens if memory runs out.
    """
    peaks = (added_peak_mb(prepare, torch.device(device)) for _ in range(repeats))
    return Spread.of([math.nan if peak is None else peak for peak in peaks])


@contextmanager
def one_core() -> Iterator[None]:
    """Limit torch and OpenCV to one core inside the block."""
    torch_threads, cv2_threads = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(torch_threads)
        cv2.setNumThreads(cv2_threads)


def _seconds(work: Work) -> float:
    """Seconds by the clock, after a GPU in use has finished its work."""
    return seconds_of(work, torch.device("cuda" if torch.cuda.is_initialized() else "cpu"))
