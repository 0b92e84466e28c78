"""Verdicts on how each video was filmed, as from `prep quality`. They are computed once per file, in a process that can
be killed, and again when the file changes."""

import threading
from collections.abc import Iterable
from pathlib import Path
from queue import SimpleQueue

from data_prep.quality.report import filming_verdict
from data_prep.quality.single import Verdict, judge, picture
from data_prep.workers.stream import StreamWorker
from groundwork.errors import KitError, system_line
from orbit_lite.studio.study import Video

HANG_S = 180.0  # per video; one that takes longer is damaged or too long for teaching
_Key = tuple[str, int, int]


class Judge:
    """Checks files one after the other; concurrent callers wait. Closing it ends its process."""

    def __init__(self) -> None:
        """Prepare; the process starts with the first file."""
        self._worker = StreamWorker()
        self._alone = threading.Lock()

    def verdict(self, path: Path) -> Verdict:
        """The verdict on a file or a folder of frames.

        Raises:
            DataError: if it can't be read, hangs or breaks the decoder.
        """
        with self._alone:
            (found,) = self._worker.iterate(judge, path, hang_s=HANG_S)
        return found

    def picture(self, path: Path) -> bytes:
        """The first picture as JPEG. Raises DataError as `verdict`."""
        with self._alone:
            (found,) = self._worker.iterate(picture, path, hang_s=HANG_S)
        return found

    def close(self) -> None:
        """End the process."""
        self._worker.__exit__()


class Verdicts:
    """The verdicts on files that pages show. Known ones are returned at once; the others are computed in a thread."""

    def __init__(self, judge: Judge) -> None:
        """Begin without verdicts."""
        self._judge = judge
        self._known: dict[_Key, Verdict | str] = {}
        self._asked: set[_Key] = set()
        self._queue: SimpleQueue[tuple[_Key, Path]] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def add(self, path: Path, verdict: Verdict) -> None:
        """Store the verdict on a file that has just arrived."""
        if (key := _key(path)) is not None:
            self._known[key] = verdict

    def known(self, videos: Iterable[Video]) -> dict[Path, Verdict | str | None]:
        """Each video's verdict, or a line on why it can't be read, or None if it is not known yet and will be computed
        soon."""
        return {video.path: self._of(video.path) for video in videos}

    def _of(self, path: Path) -> Verdict | str | None:
        key = _key(path)
        if key is None:
            return None
        if key not in self._known and key not in self._asked:
            self._asked.add(key)
            self._queue.put((key, path))
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, name="verdicts", daemon=True)
                self._thread.start()
        return self._known.get(key)

    def _look(self) -> None:
        while True:
            key, path = self._queue.get()
            try:
                self._known[key] = self._judge.verdict(path)
            except KitError as error:
                self._known[key] = without_folder(str(error), path)
            except OSError as error:  # the thread must continue with the other files
                self._known[key] = without_folder(system_line(error), path)


def in_words(verdict: Verdict, *, photo: bool = False) -> str:
    """How it was filmed: `your video looks fine.`"""
    return filming_verdict([verdict.issues], noun="photo" if photo else "video")


def without_folder(line: str, path: Path) -> str:
    """An error's line with only the file's name instead of its path, as on the page."""
    return line.replace(str(path), path.name)


def _key(path: Path) -> _Key | None:
    """The key of a verdict: the file's path, size and time; None if it does not exist."""
    try:
        found = path.stat()
    except OSError:
        return None
    return str(path), found.st_size, found.st_mtime_ns
