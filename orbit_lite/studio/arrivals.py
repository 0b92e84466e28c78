"""An upload that came whole, judged in a process that can be killed, and only then put where it belongs."""

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from data_prep.quality.single import Verdict
from data_prep.tree.layout import TREE_TYPES
from groundwork import use
from groundwork.errors import DataError, KitError
from orbit_lite.studio.locks import changing, drop_index
from orbit_lite.studio.names import is_same_name
from orbit_lite.studio.receiving import SentFile
from orbit_lite.studio.study import Study
from orbit_lite.studio.verdicts import Judge, Verdicts, without_folder
from orbit_lite.studio.wording import wording


@dataclass(frozen=True)
class Arrival:
    """What became of one uploaded file: `verdict` if it was kept, under `name`; else `fault` says why not."""

    name: str
    verdict: Verdict | None = None
    fault: str = ""


@dataclass(frozen=True)
class Desk:
    """Where uploads are judged and taken in."""

    study: Study
    judge: Judge
    verdicts: Verdicts

    def take_in(self, participant: str, thing: str, video_type: str, files: list[SentFile]) -> Iterator[Arrival]:
        """Judge each file, and put it into the thing's folder under a name that is free there.

        Args:
            participant, thing: names; looked up again for each file, since the folders may change meanwhile.
            video_type: one of TREE_TYPES.
            files: as `receive_form` left them, on the same disk.

        Yields:
            what became of each, in their order. A fault of one does not stop the others.
        """
        for sent in files:
            if sent.refused:
                yield Arrival(sent.name, fault=sent.refused)
                continue
            try:
                verdict = self.judge.verdict(sent.path)
                yield Arrival(self._place(participant, thing, video_type, sent, verdict), verdict)
            except KitError as error:
                yield Arrival(sent.name, fault=without_folder(str(error), sent.path))

    def _place(self, participant: str, thing: str, video_type: str, sent: SentFile, verdict: Verdict) -> str:
        if video_type not in TREE_TYPES:
            raise DataError(wording()("upload.place"))
        with sent.path.open("rb") as file:
            os.fsync(file.fileno())  # whole on the disk before it has its name
        whose = self.study.participant(participant)
        with changing(whose):
            folder = self.study.participant(participant).thing(thing).path / video_type
            whose.require_own(folder)
            folder.mkdir(exist_ok=True)
            place = folder / free_name(folder, sent.name)
            sent.path.rename(place)
            _sync(folder)
            drop_index(self.study)
        self.verdicts.add(place, verdict)
        return place.name


def free_name(folder: Path, name: str) -> str:
    """The name, or with a number that makes it free: `mug.mp4`, `mug-2.mp4`. No other case of it is there either."""
    taken = [entry.name for entry in os.scandir(folder)]
    stem, suffix = Path(name).stem, Path(name).suffix
    number, free = 1, name
    while any(is_same_name(free, other) for other in taken):
        number += 1
        free = f"{stem}-{number}{suffix}"
    return free


def remove_left(study: Study) -> None:
    """Remove uploads that a server that was killed had not judged yet, and locks that it held. Nobody may be uploading
    now."""
    use.remove_abandoned_locks(study.root)
    for participant in study.participants():
        with suppress(KitError), changing(participant, longest_s=0):
            if participant.incoming.is_dir() and not participant.incoming.is_symlink():
                shutil.rmtree(participant.incoming, ignore_errors=True)


def _sync(folder: Path) -> None:
    with suppress(OSError):  # some systems can't
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
