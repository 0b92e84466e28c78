"""All that a running server holds: the study, the rooms' parts, and what was just said. Nothing of it outlives it."""

import itertools
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from orbit_lite.studio.arrivals import Desk
from orbit_lite.studio.jobs import Jobs
from orbit_lite.studio.receiving import Limits
from orbit_lite.studio.recognizers import Recognizers
from orbit_lite.studio.study import Study
from orbit_lite.studio.teaching import Teacher
from orbit_lite.studio.threads import answering_pool, upgrade
from orbit_lite.studio.verdicts import Judge, Verdicts
from orbit_lite.studio.wording import wording

_MOST_NOTICES = 100


class Notices:
    """Lines that the next page is to show, by the number that its address then has."""

    def __init__(self) -> None:
        """None yet."""
        self._lines: OrderedDict[str, tuple[str, ...]] = OrderedDict()
        self._numbers = itertools.count(1)

    def add(self, lines: Sequence[str]) -> str:
        """Keep lines; give their number."""
        number = str(next(self._numbers))
        self._lines[number] = tuple(lines)
        while len(self._lines) > _MOST_NOTICES:
            self._lines.popitem(last=False)
        return number

    def of(self, number: str) -> tuple[str, ...]:
        """The lines of a number; none where nothing is known of it."""
        return self._lines.get(number, ())


class Streams:
    """How many cameras are being answered."""

    def __init__(self) -> None:
        """None yet."""
        self._open = 0

    @contextmanager
    def one_more(self, most: int) -> Iterator[bool]:
        """Count one while the block runs, if there are fewer than `most`; give whether it is one of them."""
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
    desk: Desk
    jobs: Jobs
    recognizers: Recognizers
    notices: Notices = field(default_factory=Notices)
    streams: Streams = field(default_factory=Streams)
    answering: ThreadPoolExecutor = field(default_factory=answering_pool)

    @classmethod
    def of(cls, study: Study, *, teacher: Teacher, limits: Limits) -> "Studio":
        """Put the parts together."""
        judge = Judge()
        return cls(
            study=study,
            teacher=teacher,
            limits=limits,
            desk=Desk(study, judge, Verdicts(judge)),
            jobs=Jobs(waiting=wording()("teach.waiting"), begin=upgrade()),
            recognizers=Recognizers(device=teacher.device),
        )

    def close(self) -> None:
        """End the process that judges, and the thread that answers."""
        self.answering.shutdown(wait=False, cancel_futures=True)
        self.desk.judge.close()
