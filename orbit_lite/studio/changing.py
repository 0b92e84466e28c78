"""Changes that people make on the page: adding participants and things, renaming and merging things."""

import os

from groundwork.errors import UsageError
from orbit_lite.studio.arrivals import free_name
from orbit_lite.studio.locks import changing, drop_index, exclusive
from orbit_lite.studio.names import is_same_name, judged_name, require_free
from orbit_lite.studio.study import Study
from orbit_lite.studio.wording import wording


def add_participant(study: Study, typed: str) -> str:
    """Create a participant's folder and return the name.

    Raises:
        NameRefused: if the name can't be used, or is taken.
        Gone: if the study's folder was removed meanwhile.
    """
    name = judged_name(typed, "participant")
    study.require_there()
    require_free(name, [entry.name for entry in os.scandir(study.root)])
    try:
        (study.root / name).mkdir()
    except FileExistsError:  # another tab was faster
        require_free(name, [name])
    return name


def add_thing(study: Study, participant: str, typed: str) -> str:
    """Create a thing's folder and return the name.

    Raises:
        NameRefused: if the name can't be used, or is taken.
        Gone, Busy: see `changing`.
    """
    name = judged_name(typed, "thing")
    owner = study.participant(participant)
    with changing(owner):
        require_free(name, [entry.name for entry in os.scandir(owner.path)])
        (owner.path / name).mkdir()
    return name


def rename_thing(study: Study, participant: str, thing: str, typed: str) -> str:
    """Rename a thing and return the new name.

    Raises:
        NameRefused: if the name can't be used, or is taken.
        Gone, Busy: see `changing` and `exclusive`.
    """
    name = judged_name(typed, "thing")
    owner = study.participant(participant)
    with exclusive(owner), changing(owner):
        path = study.participant(participant).thing(thing).path
        others = [entry.name for entry in os.scandir(owner.path) if entry.name != path.name]
        require_free(name, others)
        path.rename(owner.path / name)
        drop_index(study)
    return name


def merge_thing(study: Study, participant: str, thing: str, into: str) -> None:
    """Move a thing's videos to another thing, and remove its folder.

    Files other than videos stay, and so does the folder in that case.

    Raises:
        UsageError: if both are the same thing.
        Gone, Busy: see `changing` and `exclusive`.
    """
    if is_same_name(thing, into):
        raise UsageError(wording()("merge.same", name=thing))
    owner = study.participant(participant)
    with exclusive(owner), changing(owner):
        now = study.participant(participant)
        source, goal = now.thing(thing), now.thing(into)
        # a folder of frames must keep its name, because the frames have the same name
        if twice := [v.name for v in source.videos if v.stored and (goal.path / v.video_type / v.name).exists()]:
            raise UsageError(wording()("merge.twice", name=goal.name, frames=twice[0]))
        now.require_own(*(goal.path / video.video_type for video in source.videos))
        for video in source.videos:
            folder = goal.path / video.video_type
            folder.mkdir(exist_ok=True)
            video.path.rename(folder / (video.name if video.stored else free_name(folder, video.name)))
        for folder in (*(source.path / name for name in os.listdir(source.path)), source.path):
            if folder.is_dir() and not folder.is_symlink() and not os.listdir(folder):
                folder.rmdir()
        drop_index(study)
