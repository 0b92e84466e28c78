"""Deletes a video, a thing, a participant or the whole study: first lists what will be removed, then removes it.

A participant is removed as by `forget --participant`. A thing is also removed from the recognizer, which is fitted to
the other things again; the check, the test and the answers, which mention it, are removed completely.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from data_prep.forgetting.plan import Change, EmptyFolder, Forgotten, Plan, Removable, remove_files
from groundwork.errors import DataError, KitError
from groundwork.lock import LOCK_NAME
from groundwork.removal import Root, identity
from groundwork.words import counted
from orbit_lite.forgetting.participant import plan_forget_participant
from orbit_lite.personal.file import load_personal, save_personal
from orbit_lite.personal.forget import ELSEWHERE
from orbit_lite.personal.teaching.teach import forget_objects
from orbit_lite.studio.locks import changing, drop_index, exclusive
from orbit_lite.studio.study import Participant, Study, Thing, Video
from orbit_lite.studio.wording import wording


def plan_video(study: Study, participant: Participant, thing: Thing, video: Video) -> Plan:
    """Plan the removal of one video. What the recognizer learned from it stays until it is taught again."""
    root = Root.of(study.root)
    change = _files(study, root, wording()("remove.video", video=video.name, thing=thing.name), [video.path])
    place = video.path.relative_to(study.root).parts
    emptied = (EmptyFolder(root, place[:-1]),) if video.path.parent != thing.path else ()
    unreachable = (wording()("remove.until_taught"), *ELSEWHERE[1:]) if participant.file.is_file() else ELSEWHERE[1:]
    return Plan(changes=(change,), unreachable=unreachable, emptied=emptied)


def plan_thing(study: Study, participant: Participant, thing: Thing) -> Plan:
    """Plan the removal of a thing."""
    words, root = wording(), Root.of(study.root)
    videos = words.number("remove.videos", len(thing.videos), thing=thing.name)
    changes = [_files(study, root, videos, [video.path for video in thing.videos])] if thing.videos else []
    emptied = [_empty(root, study, path) for path in (*_folders_below(thing.path), thing.path)]
    if participant.file.is_file():
        changes.append(_unlearn(study, root, participant, thing.name))
    for folder, key in (
        (participant.check_folder, "remove.check"),
        (participant.test_folder, "remove.test"),
        (participant.answers_folder, "remove.answers"),
    ):
        if files := list(_regular_files(folder)):
            changes.append(_files(study, root, words(key), files))
            emptied += [_empty(root, study, path) for path in (*_folders_below(folder), folder)]
    left = [path for path in _regular_files(thing.path) if not _is_of(path, thing)]
    names = tuple(words("remove.left", name=path.relative_to(study.root).as_posix()) for path in left)
    if not changes:
        changes = [Change(words("remove.empty_thing", thing=thing.name), lambda: Forgotten((words("remove.empty"),)))]
    return Plan(changes=tuple(changes), left=names, unreachable=ELSEWHERE[1:], emptied=tuple(emptied))


def plan_participant(study: Study, participant: Participant) -> Plan:
    """Plan the removal of a participant: everything that `forget --participant` finds in the study, and their folder.

    Raises:
        KitError: as `plan_forget_participant`.
    """
    root = Root.of(study.root)
    plan = plan_forget_participant(participant.path.name, [study.root])
    folders = [_empty(root, study, path) for path in (*_folders_below(participant.path), participant.path)]
    line = Change(wording()("remove.folder", name=participant.name), lambda: Forgotten())
    return plan + Plan(changes=() if plan.changes else (line,), emptied=tuple(folders))


def plan_everything(study: Study) -> Plan:
    """Plan the removal of all participants. The study's folder itself stays."""
    plan = Plan()
    for participant in study.participants():
        plan += plan_participant(study, participant)
    return plan


def carry_out(study: Study, participants: Sequence[Participant], plan: Plan) -> Forgotten:
    """Carry out a plan, while nobody else changes or teaches these participants.

    Raises:
        Busy: if somebody does, or their files are arriving, which would create the folder again; nothing is removed.
        KitError: if a change raises it.
    """
    with ExitStack() as held:
        for one in participants:
            held.enter_context(exclusive(one))
            held.enter_context(changing(one))
            one.require_nothing_arrives()
        mine = [one.path for one in participants]
        others = tuple(path for path in plan.used if not any(path.is_relative_to(own) for own in mine))
        forgotten = replace(plan, used=others, look_again=()).carry_out()
        drop_index(study)
    return forgotten


def appeared(plan: Plan) -> Forgotten:
    """Files that were made between the list and the removal and so still exist: a line for each."""
    return Forgotten(remaining=tuple(line for look in plan.look_again for line in look()))


def tidy(study: Study, names: Sequence[str]) -> None:
    """Remove empty folders of participants. They could not be removed earlier, because they held locks."""
    root = Root.of(study.root)
    for name in names:
        path = study.root / name
        if path.is_dir() and not path.is_symlink():
            for folder in (*_folders_below(path), path):
                _empty(root, study, folder).remove()


def _unlearn(study: Study, root: Root, participant: Participant, thing: str) -> Change:
    words, file = wording(), participant.file
    try:
        objects = load_personal(file).objects
    except DataError:  # damaged: what it learned about the thing can only be removed with the whole file
        return _files(study, root, words("remove.recognizer"), [file])
    if thing not in objects:
        return Change(words("remove.not_learned", thing=thing), lambda: Forgotten())
    if set(objects) == {thing}:
        return _files(study, root, words("remove.recognizer"), [file])
    line = words("remove.unlearned", thing=thing)

    def carry() -> Forgotten:
        try:
            save_personal(file, forget_objects(load_personal(file), [thing]))
        except (
            KitError,
            OSError,
        ):  # the learner needs all videos together, or the disk is full
            return _files(study, root, words("remove.recognizer"), [file]).carry_out()
        return Forgotten((line,))

    return Change(line, carry)


def _files(study: Study, root: Root, line: str, paths: Sequence[Path]) -> Change:
    """A change that removes files, and folders of frames with their contents."""
    files: list[Removable] = []
    folders: list[tuple[str, ...]] = []
    for path in paths:
        if path.is_dir():
            folders.append(path.relative_to(study.root).parts)
        for inner in _regular_files(path) if path.is_dir() else [path]:
            files.append(Removable(inner.relative_to(study.root).parts, identity(os.lstat(inner))))
    return remove_files(f"{line} ({counted(len(files), 'file')})", root, files, folders)


def _empty(root: Root, study: Study, folder: Path) -> EmptyFolder:
    return EmptyFolder(root, folder.relative_to(study.root).parts)


def _regular_files(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not (Path(place) / name).is_symlink())
        for name in sorted(names):
            if name != LOCK_NAME and stat.S_ISREG(os.lstat(Path(place) / name).st_mode):
                yield Path(place) / name


def _folders_below(folder: Path) -> list[Path]:
    """All folders below a folder, deepest first."""
    found = [Path(place) for place, _, _ in os.walk(folder)]
    return sorted((path for path in found if path != folder), key=lambda path: -len(path.parts))


def _is_of(path: Path, thing: Thing) -> bool:
    return any(path == video.path or path.is_relative_to(video.path) for video in thing.videos)
