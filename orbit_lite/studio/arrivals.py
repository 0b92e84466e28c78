"""Checks a complete upload in a process that can be killed, and only then moves it into its folder."""

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
    """The result for one uploaded file: `verdict` if it was saved, as `name`; otherwise `fault` says why not."""

    name: str
    verdict: Verdict | None = None
    fault: str = ""


@dataclass(frozen=True)
class Intake:
    """Checks uploads and moves them into the study."""

    study: Study
    judge: Judge
    verdicts: Verdicts

    def take_in(self, participant: str, thing: str, video_type: str, files: list[SentFile]) -> Iterator[Arrival]:
        """Check each file, and move it into the thing's folder under a free name.

        Args:
            participant, thing: names; they are looked up again for each file, because folders may change meanwhile.
            video_type: one of TREE_TYPES.
            files: from `receive_form`, on the same disk.

        Yields:
            the result for each file, in order. An error of one does not stop the others.
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
            os.fsync(file.fileno())  # complete on the disk before it gets its name
        owner = self.study.participant(participant)
        with changing(owner):
            folder = self.study.participant(participant).thing(thing).path / video_type
            owner.require_own(folder)
            folder.mkdir(exist_ok=True)
            place = folder / free_name(folder, sent.name)
            sent.path.rename(place)
            _sync(folder)
            drop_index(self.study)
        self.verdicts.add(place, verdict)
        return place.name


def free_name(folder: Path, name: str) -> str:
    """The name, with a number added if it is taken, even in another case: `mug.mp4`, `mug-2.mp4`."""
    taken = [entry.name for entry in os.scandir(folder)]
    stem, suffix = Path(name).stem, Path(name).suffix
    number, free = 1, name
    while any(is_same_name(free, other) for other in taken):
        number += 1
        free = f"{stem}-{number}{suffix}"
    return free


def remove_left(study: Study) -> None:
    """Remove unchecked uploads and locks of a server that was killed. Nobody may be uploading at this time."""
    use.remove_abandoned_locks(study.root)
    for participant in study.participants():
        with suppress(KitError), changing(participant, longest_s=0):
            if participant.incoming.is_dir() and not participant.incoming.is_symlink():
                shutil.rmtree(participant.incoming, ignore_errors=True)


def _sync(folder: Path) -> None:
    with suppress(OSError):  # some systems can't do this
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
