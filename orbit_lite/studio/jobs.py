"""Long jobs that a page starts and polls: one per participant, run one after the other, with infrequent progress."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from queue import SimpleQueue

from groundwork.errors import KitError, system_line
from groundwork.progress import ProgressReport, progress_to

_LOG = logging.getLogger("orbit_lite")

STEPS = 4  # a stage is announced at its start and at each quarter; more often would drown out everything else


class State(StrEnum):
    """The state of a job."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True)
class Job:
    """The present state of a job.

    number: increases with each job, so that a page recognizes a new one. said: the text to announce; it changes rarely.
    fault: why it failed, in one line.
    """

    number: int
    state: State
    said: str
    done: int = 0
    total: int = 0
    fault: str = ""

    @property
    def at_work(self) -> bool:
        """Whether it is waiting or running."""
        return self.state in (State.WAITING, State.RUNNING)


Say = Callable[[str], None]


class Jobs:
    """Runs jobs, one per participant, in a separate thread that ends with the program. Jobs write only complete
    files."""

    def __init__(self, *, waiting: str, begin: Callable[[], None] = lambda: None) -> None:
        """Begin without jobs.

        Args:
            waiting: the text to announce for a job that waits for another one.
            begin: called first in the working thread.
        """
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()
        self._queue: SimpleQueue[tuple[str, Callable[[Say], str]]] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._waiting, self._begin = waiting, begin

    def start(self, name: str, work: Callable[[Say], str]) -> Job:
        """Start a job, unless one of this name is waiting or running.

        Args:
            name: the participant.
            work: the job; it gets a function that announces a stage, and returns the text to announce at the end.
        """
        with self._lock:
            before = self._jobs.get(name)
            if before is not None and before.at_work:
                return before
            job = Job(before.number + 1 if before else 1, State.WAITING, self._waiting)
            self._jobs[name] = job
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="jobs", daemon=True)
                self._thread.start()
        self._queue.put((name, work))
        return job

    def of(self, name: str) -> Job | None:
        """The latest job of this name, if any."""
        return self._jobs.get(name)

    def forget(self, name: str) -> None:
        """Drop the state of a job that has ended."""
        with self._lock:
            if name in self._jobs and not self._jobs[name].at_work:
                del self._jobs[name]

    def _work(self) -> None:
        self._begin()
        while True:
            name, work = self._queue.get()
            try:
                with progress_to(partial(self._progress, name)):
                    said = work(partial(self._stage, name))
                self._set(name, state=State.DONE, said=said, done=0, total=0)
            except KitError as error:
                self._set(name, state=State.FAILED, said="", fault=str(error))
            except OSError as error:
                self._set(name, state=State.FAILED, said="", fault=system_line(error))
            except Exception as error:  # an error in the kit; the page must not wait forever
                _LOG.exception("%s: stopped by an error in the kit", name)
                self._set(name, state=State.FAILED, said="", fault=f"{type(error).__name__}: {error}")

    def _stage(self, name: str, stage: str) -> None:
        self._set(name, state=State.RUNNING, said=stage, done=0, total=0)

    def _progress(self, name: str, report: ProgressReport) -> None:
        self._set(name, done=report.done, total=report.total)

    def _set(self, name: str, **values: object) -> None:
        with self._lock:
            self._jobs[name] = replace(self._jobs[name], **values)  # type: ignore[arg-type]


def quarter(job: Job) -> int:
    """Number of completed quarters of the stage, 0 to STEPS."""
    return STEPS * job.done // job.total if job.total else 0
