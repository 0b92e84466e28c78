"""The state of a running server: the study, the parts that pages use, and the latest notices. None of it is stored."""

import itertools
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from orbit_lite.studio.arrivals import Intake
from orbit_lite.studio.jobs import Jobs
from orbit_lite.studio.receiving import Limits
from orbit_lite.studio.recognizers import Recognizers
from orbit_lite.studio.study import Study
from orbit_lite.studio.teaching import Teacher
from orbit_lite.studio.threads import answering_pool, keep_thread_count
from orbit_lite.studio.verdicts import Judge, Verdicts
from orbit_lite.studio.wording import wording

_MOST_NOTICES = 100


class Notices:
    """Lines for the next page to show, stored under a number that is in its address."""

    def __init__(self) -> None:
        """Begin with none."""
        self._lines: OrderedDict[str, tuple[str, ...]] = OrderedDict()
        self._numbers = itertools.count(1)

    def add(self, lines: Sequence[str]) -> str:
        """Store lines and return their number."""
        number = str(next(self._numbers))
        self._lines[number] = tuple(lines)
        while len(self._lines) > _MOST_NOTICES:
            self._lines.popitem(last=False)
        return number

    def of(self, number: str) -> tuple[str, ...]:
        """The lines stored under a number; empty for an unknown number."""
        return self._lines.get(number, ())


class Streams:
    """Counts the cameras in use."""

    def __init__(self) -> None:
        """Begin with none."""
        self._open = 0

    @contextmanager
    def one_more(self, most: int) -> Iterator[bool]:
        """Count one more while the block runs, if there are fewer than `most`; yields whether there are."""
        free = self._open < most
        self._open += free
        try:
            yield free
        finally:
            self._open -= free


@dataclass(frozen=True)
class Studio:
    """The parts that the pages use."""

    study: Study
    teacher: Teacher
    limits: Limits
    intake: Intake
    jobs: Jobs
    recognizers: Recognizers
    notices: Notices = field(default_factory=Notices)
    streams: Streams = field(default_factory=Streams)
    answering: ThreadPoolExecutor = field(default_factory=answering_pool)

    @classmethod
    def of(cls, study: Study, *, teacher: Teacher, limits: Limits) -> "Studio":
        """Create the parts."""
        judge = Judge()
        return cls(
            study=study,
            teacher=teacher,
            limits=limits,
            intake=Intake(study, judge, Verdicts(judge)),
            jobs=Jobs(waiting=wording()("teach.waiting"), begin=keep_thread_count()),
            recognizers=Recognizers(device=teacher.device),
        )

    def close(self) -> None:
        """Stop the process that checks videos, and the thread that answers frames."""
        self.answering.shutdown(wait=False, cancel_futures=True)
        self.intake.judge.close()
