"""A participant's folder and files, while something is made of them: nobody removes or renames them meanwhile.

A folder of own videos and a personal recognizer are held themselves. What stands in a participant's `results` is held
with the participant's folder, so that whatever is written there comes before a removal of it or not at all.
"""

import os
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path

from data_prep.tree.own_videos import RESULTS_NAME
from groundwork.use import shared_use


def using(paths: Iterable[Path]) -> AbstractContextManager[None]:
    """Hold what these paths are part of, shared with others that use it, while the block runs.

    Raises:
        UsageError: if some of it is being removed or renamed.
    """
    return shared_use(place for path in paths for place in held_with(path))


def held_with(path: Path) -> list[Path]:
    """A folder or file itself, if it is there, and the participant's folder that it is a result of, there or not."""
    place = Path(os.path.realpath(path))
    own = [place] if os.path.isdir(place) or os.path.isfile(place) else []  # no device, no pipe, no impossible name
    return [*own, *(folder.parent for folder in place.parents if folder.name == RESULTS_NAME)]
