"""Finds a participant in the JSON files of `recognize`, by the recognizer that answered and by the videos."""

from functools import partial
from pathlib import Path

from data_prep.forgetting.derived import MOST_BYTES
from data_prep.forgetting.plan import change_file
from groundwork.files import write_json
from groundwork.words import counted
from orbit_lite.forgetting.found import Found, changed, removal
from orbit_lite.forgetting.inventory import SeenFile, SeenFolder
from orbit_lite.forgetting.tables import user_of_video
from orbit_lite.personal.answering.report import read_answers, recognizer_user, videos_in, without_videos

ANSWERS_SUFFIX = ".json"


def find_in_answers(folder: SeenFolder, file: SeenFile, user: str) -> Found:
    """What to remove from a JSON file: all of it if their recognizer answered or all videos are theirs; otherwise the
    entries of their videos."""
    content = read_answers(file.path) if file.size_bytes <= MOST_BYTES else None
    if content is None:
        return Found()
    names = frozenset({recognizer_user(content)} - {""})
    if recognizer_user(content) == user:
        return removal(f"{file.path}: answers of their recognizer", folder, [file], names)
    videos = videos_in(content)
    theirs = sum(user_of_video(video) == user for video in videos)
    if not theirs:
        return Found(names=names)
    if theirs == len(videos):
        return removal(f"{file.path}: answers for only their videos", folder, [file], names)
    line = f"{file.path}: answers for {counted(theirs, 'video')} of this participant"
    change = change_file(line, folder.root, file.place, partial(_drop, file.path, user))
    return Found(changed(change), files=frozenset([file.path]), names=names)


def answered_frames(file: SeenFile, user: str) -> dict[str, int]:
    """How many frames of each video a participant's recognizer has answered, according to this file; empty if the file
    is of another recognizer or another kind."""
    content = read_answers(file.path) if file.size_bytes <= MOST_BYTES else None
    if content is None or recognizer_user(content) != user:
        return {}
    return {entry["video"]: entry["frames"] for entry in content["videos"]}


def _drop(path: Path, user: str) -> bool:
    content = read_answers(path)
    if content is None:
        return False
    write_json(path, without_videos(content, lambda video: user_of_video(video) == user))
    return True
