"""A cache of the last few personal recognizers that pages use, read again when their files change."""

import threading
from collections import OrderedDict
from pathlib import Path

from groundwork.errors import DataError
from orbit_lite.personal.file import load_personal
from orbit_lite.personal.recognizer import PersonalRecognizer
from orbit_lite.studio.study import Gone, Participant
from orbit_lite.studio.verdicts import without_folder
from orbit_lite.studio.wording import wording

MOST = 3  # kept in memory, some tens of MB each


class Recognizers:
    """Reads each recognizer once."""

    def __init__(self, *, device: str = "cpu") -> None:
        """Begin with an empty cache."""
        self._device = device
        self._held: OrderedDict[Path, tuple[tuple[int, int], PersonalRecognizer]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, participant: Participant) -> PersonalRecognizer:
        """A participant's recognizer, from the present file.

        Raises:
            Gone: if there is no file.
            DataError: if it is damaged, or there is a link on the path to it.
        """
        path = participant.file
        participant.require_own(path)
        try:
            found = path.stat()
        except OSError:
            raise Gone(wording()("try.not_taught", name=participant.name)) from None
        stamp = found.st_mtime_ns, found.st_size
        with self._lock:
            if path not in self._held or self._held[path][0] != stamp:
                self._held[path] = stamp, self._read(path)
            self._held.move_to_end(path)
            while len(self._held) > MOST:
                self._held.popitem(last=False)
            return self._held[path][1]

    def _read(self, path: Path) -> PersonalRecognizer:
        try:
            return load_personal(path, device=self._device)
        except DataError as error:
            raise DataError(wording()("try.damaged", why=without_folder(str(error), path))) from None
