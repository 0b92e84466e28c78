"""What people change by hand: participants and things added, things renamed and merged."""

import os

from groundwork.errors import UsageError
from orbit_lite.studio.arrivals import free_name
from orbit_lite.studio.locks import alone, changing, drop_index
from orbit_lite.studio.names import is_same_name, judged_name, require_free
from orbit_lite.studio.study import Study
from orbit_lite.studio.wording import wording


def add_participant(study: Study, typed: str) -> str:
    """Make a participant's folder; give the name.

    Raises:
        NameRefused: if the name can't be given, or is taken.
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
    """Make a thing's folder; give the name.

    Raises:
        NameRefused: if the name can't be given, or is taken.
        Gone, Busy: see `changing`.
    """
    name = judged_name(typed, "thing")
    whose = study.participant(participant)
    with changing(whose):
        require_free(name, [entry.name for entry in os.scandir(whose.path)])
        (whose.path / name).mkdir()
    return name


def rename_thing(study: Study, participant: str, thing: str, typed: str) -> str:
    """Give a thing another name; give the name.

    Raises:
        NameRefused: if the name can't be given, or is taken.
        Gone, Busy: see `changing` and `alone`.
    """
    name = judged_name(typed, "thing")
    whose = study.participant(participant)
    with alone(whose), changing(whose):
        path = study.participant(participant).thing(thing).path
        others = [entry.name for entry in os.scandir(whose.path) if entry.name != path.name]
        require_free(name, others)
        path.rename(whose.path / name)
        drop_index(study)
    return name


def merge_thing(study: Study, participant: str, thing: str, into: str) -> None:
    """Put a thing's videos to another thing's, and take its folder away.

    What is no video stays, and so does the folder then.

    Raises:
        UsageError: if both are one.
        Gone, Busy: see `changing` and `alone`.
    """
    if is_same_name(thing, into):
        raise UsageError(wording()("merge.same", name=thing))
    whose = study.participant(participant)
    with alone(whose), changing(whose):
        now = study.participant(participant)
        source, goal = now.thing(thing), now.thing(into)
        # a folder of frames is named as they are: it can't have another name
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
