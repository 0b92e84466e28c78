"""What there is to say of each video, in the words of `prep quality`: worked out once per file, in a process that can
be killed, and worked out again when the file has changed."""

import threading
from collections.abc import Iterable
from pathlib import Path
from queue import SimpleQueue

from data_prep.quality.report import filming_verdict
from data_prep.quality.single import Verdict, judge, picture
from data_prep.workers.stream import StreamWorker
from groundwork.errors import KitError, system_line
from orbit_lite.studio.study import Video

HANG_S = 180.0  # for a whole video: one that takes longer is damaged, or too long to teach with
_Key = tuple[str, int, int]


class Judge:
    """Judges files one after the other; whoever asks at the same time waits. Closing it ends its process."""

    def __init__(self) -> None:
        """No process yet: it starts with the first file."""
        self._worker = StreamWorker()
        self._alone = threading.Lock()

    def verdict(self, path: Path) -> Verdict:
        """What there is to say of a file or a folder of frames.

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
    """The verdicts of the files that pages show: known ones at once, others soon."""

    def __init__(self, judge: Judge) -> None:
        """Begin with none known."""
        self._judge = judge
        self._known: dict[_Key, Verdict | str] = {}
        self._asked: set[_Key] = set()
        self._queue: SimpleQueue[tuple[_Key, Path]] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def add(self, path: Path, verdict: Verdict) -> None:
        """Note what is known already of a file that has just arrived."""
        if (key := _key(path)) is not None:
            self._known[key] = verdict

    def known(self, videos: Iterable[Video]) -> dict[Path, Verdict | str | None]:
        """Of each video its verdict, or in a line why it can't be read; None while nobody has looked: it is looked at
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
            except OSError as error:  # the thread goes on: nobody else looks at the others
                self._known[key] = without_folder(system_line(error), path)


def in_words(verdict: Verdict) -> str:
    """How it is filmed: `your clip looks fine.`"""
    return filming_verdict([verdict.issues])


def without_folder(line: str, path: Path) -> str:
    """An error's line that names a file by its name alone, as the page does."""
    return line.replace(str(path), path.name)


def _key(path: Path) -> _Key | None:
    """What a verdict is of: a file's place, size and time; None if it is gone."""
    try:
        found = path.stat()
    except OSError:
        return None
    return str(path), found.st_size, found.st_mtime_ns
