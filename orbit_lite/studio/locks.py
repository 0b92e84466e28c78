"""Locks that allow one writer at a time per participant, across tabs, servers and the command line.

Work that reads a participant's videos shares their folder with other such work (`using`); only renaming and removing
need it exclusively (`exclusive`). The command line's verbs do the same.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from data_prep.tree.index import read_rows
from data_prep.tree.layout import INDEX_NAME
from groundwork.errors import DataError, UsageError
from groundwork.lock import only_run, only_writer
from groundwork.use import exclusive_use, shared_use
from orbit_lite.studio.study import Busy, Gone, Participant, Study
from orbit_lite.studio.wording import wording

WAIT_S = 10.0  # for a change that another tab is making, which is short
_LOOK_EVERY_S = 0.05


@contextmanager
def changing(participant: Participant, *, longest_s: float | None = None) -> Iterator[None]:
    """Lock a participant's folder while the block changes its contents; wait for another holder, at most `longest_s`
    (default: WAIT_S).

    Raises:
        Busy: if it is still locked then.
        Gone: if the folder was removed meanwhile.
    """
    until = time.monotonic() + (WAIT_S if longest_s is None else longest_s)
    with ExitStack() as held:
        while True:
            require_there(participant)
            try:
                held.enter_context(only_run(participant.path))
                break
            except UsageError:
                if time.monotonic() >= until:
                    raise Busy(wording()("busy.changing", name=participant.name)) from None
                time.sleep(_LOOK_EVERY_S)
        yield


@contextmanager
def using(participant: Participant) -> Iterator[None]:
    """Share a participant's folder while the block reads its videos or adds to them.

    Raises:
        Busy: if it is being renamed or removed.
        Gone: if it was removed.
    """
    with ExitStack() as held:
        try:
            held.enter_context(shared_use([participant.path]))
        except UsageError:
            raise Busy(wording()("busy.going", name=participant.name)) from None
        require_there(participant)
        yield


@contextmanager
def exclusive(participant: Participant, *others: Path) -> Iterator[None]:
    """Lock a participant's folder exclusively for this block, to rename or remove something in it.

    Args:
        participant: the participant.
        others: other paths to lock, such as a folder's new name.

    Raises:
        Busy: if another process or tab is using it.
        Gone: if it was removed.
        DataError: if a link leads out of the folder.
    """
    with ExitStack() as held:
        try:
            held.enter_context(exclusive_use([participant.path, *others]))
        except UsageError:
            raise _at_work(participant) from None
        require_there(participant)
        held.enter_context(_writing(participant))
        yield


@contextmanager
def teaching(participant: Participant) -> Iterator[None]:
    """Lock a participant's recognizer while the block teaches it; `personalize --out` takes the same lock.

    Raises:
        Busy: if another process or tab is teaching it.
        Gone: if the folder was removed meanwhile.
        DataError: if a link leads out of the folder.
    """
    with using(participant), _writing(participant):
        yield


@contextmanager
def _writing(participant: Participant) -> Iterator[None]:
    participant.require_own(participant.file, participant.check_folder, participant.test_folder)
    with ExitStack() as held:
        while True:
            require_there(participant)
            participant.results.mkdir(exist_ok=True)
            with suppress(FileNotFoundError):  # another process has just finished and removed the empty folder
                try:
                    held.enter_context(only_writer(participant.file, participant.name))
                    break
                except UsageError:
                    raise _at_work(participant) from None
        try:
            yield
        finally:
            held.close()
            with suppress(OSError):  # it is not empty, or was removed
                participant.results.rmdir()


def _at_work(participant: Participant) -> Busy:
    return Busy(wording()("busy.at_work", name=participant.name))


def require_there(participant: Participant) -> None:
    """Raises Gone if the folder was removed."""
    if not participant.path.is_dir():
        raise Gone(wording()("gone.participant", name=participant.name))


def drop_index(study: Study) -> None:
    """Remove the index that a verb made of the study's folder, because the videos have changed. A verb that needs it
    makes it again."""
    path = study.root / INDEX_NAME
    with suppress(DataError, FileNotFoundError, IsADirectoryError):  # a file of this name that is not an index stays
        read_rows(path)
        path.unlink()
