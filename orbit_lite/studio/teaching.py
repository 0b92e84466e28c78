"""Teaches, checks and tests a participant's recognizer, as `personalize`, `check-user` and `evaluate` do."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from groundwork.errors import DataError, KitError
from groundwork.files import part_path
from orbit_lite.models.choice import EMBEDDED_START, ModelChoice
from orbit_lite.personal.checking.check_user import check_user
from orbit_lite.personal.checking.report import write_check
from orbit_lite.personal.evaluating.evaluate import PersonalRequest, evaluate_personal
from orbit_lite.personal.file import load_personal
from orbit_lite.personal.teaching.personalize import personalize
from orbit_lite.personal.teaching.sampling import PROTOCOL
from orbit_lite.personal.teaching.teach import LEAST_OBJECTS
from orbit_lite.studio.jobs import Say
from orbit_lite.studio.locks import require_there, teaching
from orbit_lite.studio.study import Participant, Study, Thing
from orbit_lite.studio.wording import wording


@dataclass(frozen=True)
class Teacher:
    """How participants are taught: the starting model, the number of decoding processes, and the device."""

    start: ModelChoice = EMBEDDED_START
    workers: int | None = None
    device: str = "cpu"

    def teach(self, study: Study, name: str, say: Say) -> str:
        """Teach a participant's things, check the recognizer, and test it on clutter videos if there are any.

        Each file is written completely or not at all; the old ones stay until then.

        Args:
            study: the study.
            name: the participant's name.
            say: announces a stage.

        Returns:
            the text to announce at the end.

        Raises:
            DataError: if the videos are unusable.
            Gone, Busy: see `locks.teaching`.
        """
        words, device = wording(), torch.device(self.device)
        participant = study.participant(name)
        require_teachable(participant)
        with teaching(participant), _not_removed(participant):
            say(words("teach.reading"))
            personalize(self.start, [participant.path], participant.file, workers=self.workers, device=device)
            say(words("teach.checking"))
            return self._examined(participant, device, say)

    def examine(self, study: Study, name: str, say: Say) -> str:
        """Check and test an existing recognizer without teaching it; otherwise like `teach`."""
        participant = study.participant(name)
        with teaching(participant), _not_removed(participant):
            say(wording()("teach.rechecking"))
            return self._examined(participant, torch.device(self.device), say)

    def _examined(self, participant: Participant, device: torch.device, say: Say) -> str:
        words = wording()
        unchecked = self._check(participant, device)
        if any(thing.tests for thing in participant.things):
            say(words("teach.testing"))
            self._test(participant, device)
        else:
            shutil.rmtree(participant.test_folder, ignore_errors=True)  # of an earlier recognizer
        return words("teach.done_unchecked", why=unchecked) if unchecked else words("teach.done")

    def _check(self, participant: Participant, device: torch.device) -> str:
        """Write the check; if nothing can be held out, there is none, and the returned line says why."""
        shares = load_personal(participant.file).fitted.recognizer.shares_features
        try:
            if shares:
                found = check_user(participant.file, None, device=device)
            else:
                found = check_user(participant.path, self.start, workers=self.workers, device=device)
        except DataError as error:
            shutil.rmtree(participant.check_folder, ignore_errors=True)
            return str(error)
        require_there(participant)
        write_check(found, participant.check_folder)
        if not participant.file.is_file():  # removed by hand at this moment, and the check has created the folder again
            shutil.rmtree(participant.check_folder, ignore_errors=True)
            for folder in (participant.results, participant.path):
                with suppress(OSError):  # it contains the lock or other files
                    folder.rmdir()
        return ""

    def _test(self, participant: Participant, device: torch.device) -> None:
        """Write the run on the clutter videos, in a tree with only this participant, so that faulty videos of others do
        not matter."""
        new, old = part_path(participant.test_folder), participant.test_folder
        shutil.rmtree(new, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix="orbit-lite-") as folder:
            tree = Path(folder) / "study"
            tree.mkdir()
            (tree / participant.path.name).symlink_to(participant.path, target_is_directory=True)
            request = PersonalRequest(participant.file, tree, PROTOCOL)
            require_there(participant)
            evaluate_personal(request, new, workers=0, device=device)
        shutil.rmtree(old, ignore_errors=True)
        new.rename(old)


@contextmanager
def _not_removed(participant: Participant) -> Iterator[None]:
    """Check that the folder still exists when the block ends or fails, in case somebody removed it by hand.

    Raises:
        Gone: if it was removed.
    """
    try:
        yield
    except (KitError, OSError):
        require_there(participant)
        raise
    require_there(participant)


def require_teachable(participant: Participant) -> None:
    """Check that there is enough to teach; the messages are for the person who films.

    Raises:
        DataError: if there are too few things, one has no video, or a link leads out of the folder.
    """
    words = wording()
    if participant.links:
        raise DataError(words("fault.link", name=participant.links[0]))
    if empty := without_videos(participant):
        raise DataError(words("teach.empty", thing=empty[0].name))
    if len(participant.things) < LEAST_OBJECTS:
        raise DataError(words("teach.few", least=LEAST_OBJECTS))


def without_videos(participant: Participant) -> Sequence[Thing]:
    """Things without teaching videos."""
    return [thing for thing in participant.things if not thing.teaching]
