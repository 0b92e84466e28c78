"""Tries a recognizer on a video or photo, and writes its answers to the participant's results."""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from data_prep.workers.stream import StreamWorker
from groundwork.words import natural_sort_key
from orbit_lite.personal.answering.answers import VideoAnswer, VideoTally
from orbit_lite.personal.answering.frame_table import whole_table
from orbit_lite.personal.answering.recognize import VideoOptions, frame_answers
from orbit_lite.personal.answering.report import describe_model, read_answers, write_answers
from orbit_lite.personal.answering.summary import AnswersSummary
from orbit_lite.personal.recognizer import PersonalRecognizer
from orbit_lite.studio.arrivals import free_name
from orbit_lite.studio.locks import changing
from orbit_lite.studio.receiving import SentFile
from orbit_lite.studio.study import Participant

VIDEO_OPTIONS = VideoOptions(fps=10.0, smooth_s=0.5)  # similar to the camera's rate


@dataclass(frozen=True)
class TriedFile:
    """A video or photo that was tried: its name, and the answer."""

    name: str
    answer: str
    kind: str


def try_file(personal: PersonalRecognizer, participant: Participant, sent: SentFile) -> VideoAnswer:
    """Answer every frame of an upload, and write the answers as `recognize` does; the upload is not saved.

    The answers are first written beside the upload, and the participant's folder is locked only while they are moved,
    so that people can film meanwhile.

    Raises:
        DataError: if it can't be read, or there is a link on the path to the answers' folder.
    """
    participant.require_own(participant.answers_folder)
    tally, table_path, answers_path = VideoTally(), sent.path.with_suffix(".csv"), sent.path.with_suffix(".json")
    with (
        whole_table(table_path) as table,
        StreamWorker() as worker,
        closing(frame_answers(personal, sent.path, VIDEO_OPTIONS, worker)) as answers,
    ):
        for answer in answers:
            tally.add(answer)
            table.add(sent.name, [answer])
    found = tally.video_answer()
    write_answers(
        answers_path,
        [(sent.name, found)],
        model=describe_model(participant.file, personal),
        settings={"fps": VIDEO_OPTIONS.fps, "smooth_s": VIDEO_OPTIONS.smooth_s},
        summary=AnswersSummary.of([(sent.name, found)]),
    )
    with changing(participant):
        participant.answers_folder.mkdir(parents=True, exist_ok=True)
        name = free_name(participant.answers_folder, f"{Path(sent.name).stem}.json")
        place = participant.answers_folder / name
        table_path.rename(place.with_suffix(".csv"))
        answers_path.rename(place)
    return found


def tried_files(participant: Participant, *, most: int = 20) -> list[TriedFile]:
    """The files tried so far, latest first."""
    folder = participant.answers_folder
    if participant.link_to(folder):
        return []
    files = [path for path in folder.glob("*.json") if path.is_file() and not path.is_symlink()]
    places = sorted(files, key=lambda path: (-path.stat().st_mtime_ns, natural_sort_key(path.name)))
    contents = (read_answers(path) for path in places[:most])
    return [
        TriedFile(video["video"], video["answer"], video["kind"])
        for content in contents
        if content
        for video in content["videos"]
    ]
