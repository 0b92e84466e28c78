"""Locks on a participant's folder and files while they are in use, so that nobody removes or renames them.

A folder of own videos and a personal recognizer are locked themselves. Files in a participant's `results` are locked
together with the participant's folder, so that nothing can be written there during or after its removal.
"""

import os
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path

from data_prep.tree.own_videos import RESULTS_NAME
from groundwork.use import shared_use


def using(paths: Iterable[Path]) -> AbstractContextManager[None]:
    """Hold shared locks for these paths while the block runs.

    Raises:
        UsageError: if some of them are being removed or renamed.
    """
    return shared_use(place for path in paths for place in held_with(path))


def held_with(path: Path) -> list[Path]:
    """The paths to lock: the folder or file itself, if it exists, and the participant's folder if it is in
    `results`."""
    place = Path(os.path.realpath(path))
    own = [place] if os.path.isdir(place) or os.path.isfile(place) else []  # not a device, a pipe or an impossible name
    return [*own, *(folder.parent for folder in place.parents if folder.name == RESULTS_NAME)]
