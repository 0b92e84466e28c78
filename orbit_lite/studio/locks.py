"""One writer at a time per participant: between tabs, between servers, and against the command line's own locks."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from data_prep.tree.index import read_rows
from data_prep.tree.layout import INDEX_NAME
from groundwork.errors import AskedWrong, FoundWrong
from groundwork.lock import only_run, only_writer
from orbit_lite.studio.study import Busy, Gone, Participant, Study

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
            if not participant.path.is_dir():
                raise Gone(f"There is no participant {participant.name!r} here any more.")
            try:
                held.enter_context(only_run(participant.path))
                break
            except AskedWrong:
                if time.monotonic() >= until:
                    raise Busy(
                        f"Something else is changing {participant.name} at this moment. Nothing was changed; try again "
                        "when it is done."
                    ) from None
                time.sleep(_LOOK_EVERY_S)
        yield


@contextmanager
def teaching(participant: Participant) -> Iterator[None]:
    """Hold a participant's recognizer while the block teaches it, or changes what it is taught with; `personalize
    --out` holds the same.

    Raises:
        Busy: if another process or tab is at it.
        Gone: if the folder was removed meanwhile.
        FoundWrong: if a link leads to another place.
    """
    participant.require_own(participant.file, participant.check_folder, participant.test_folder)
    with ExitStack() as held:
        while True:
            if not participant.path.is_dir():
                raise Gone(f"There is no participant {participant.name!r} here any more.")
            participant.results.mkdir(exist_ok=True)
            with suppress(FileNotFoundError):  # another one has just left, and taken the folder away, for it was empty
                try:
                    held.enter_context(only_writer(participant.file, participant.name))
                    break
                except AskedWrong:
                    raise Busy(
                        f"{participant.name} is being taught at this moment. Nothing was changed; try again when that "
                        "is done."
                    ) from None
        try:
            yield
        finally:
            held.close()
            with suppress(OSError):  # nothing was made in it, or it was removed
                participant.results.rmdir()


def drop_index(study: Study) -> None:
    """Remove the index that a verb has made of the study's folder: it is of the videos as they were, and is made again
    when a verb needs it."""
    path = study.root / INDEX_NAME
    with suppress(FoundWrong, FileNotFoundError, IsADirectoryError):  # what has that name and is none stays
        read_rows(path)
        path.unlink()
