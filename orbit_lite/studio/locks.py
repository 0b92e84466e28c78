"""One writer at a time per participant: between tabs, between servers, and against the command line's own locks.

Whatever is made of a participant's videos shares their folder with what else is made of them (`using`), and only what
renames or removes has it alone (`alone`). The command line's verbs do the same.
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

WAIT_S = 10.0  # for a change that another tab is making: it takes a moment
_LOOK_EVERY_S = 0.05


@contextmanager
def changing(participant: Participant, *, longest_s: float | None = None) -> Iterator[None]:
    """Hold a participant's folder while the block changes what stands in it; another holder is waited for, a moment
    (`longest_s`, WAIT_S if not given).

    Raises:
        Busy: if it is not free by then.
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
    """Share a participant's folder while the block makes something of what is in it, or adds to it.

    Raises:
        Busy: if somebody is about to rename or remove it.
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
def alone(participant: Participant, *others: Path) -> Iterator[None]:
    """Have a participant's folder for this block alone, to rename or remove what others are taught with.

    Args:
        participant: whose.
        others: other places, such as a folder's new name.

    Raises:
        Busy: if another process or tab makes something of what is in it, or adds to it.
        Gone: if it was removed.
        DataError: if a link leads to another place.
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
    """Hold a participant's recognizer while the block teaches it; `personalize --out` holds the same.

    Raises:
        Busy: if another process or tab is at it.
        Gone: if the folder was removed meanwhile.
        DataError: if a link leads to another place.
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
            with suppress(FileNotFoundError):  # another one has just left, and taken the folder away, for it was empty
                try:
                    held.enter_context(only_writer(participant.file, participant.name))
                    break
                except UsageError:
                    raise _at_work(participant) from None
        try:
            yield
        finally:
            held.close()
            with suppress(OSError):  # nothing was made in it, or it was removed
                participant.results.rmdir()


def _at_work(participant: Participant) -> Busy:
    return Busy(wording()("busy.at_work", name=participant.name))


def require_there(participant: Participant) -> None:
    """Raises Gone if the folder was removed."""
    if not participant.path.is_dir():
        raise Gone(wording()("gone.participant", name=participant.name))


def drop_index(study: Study) -> None:
    """Remove the index that a verb has made of the study's folder: it is of the videos as they were, and is made again
    when a verb needs it."""
    path = study.root / INDEX_NAME
    with suppress(DataError, FileNotFoundError, IsADirectoryError):  # what has that name and is none stays
        read_rows(path)
        path.unlink()
