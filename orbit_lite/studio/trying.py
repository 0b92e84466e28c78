"""A video or photo that the recognizer is tried on: its answer, and every frame's, in the participant's results."""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from data_prep.workers.stream import StreamWorker
from groundwork.words import natural_sort_key
from orbit_lite.personal.answering.answers import VideoAnswer, VideoTally
from orbit_lite.personal.answering.frame_table import whole_table
from orbit_lite.personal.answering.recognize import Looking, frame_answers
from orbit_lite.personal.answering.report import describe_model, read_answers, write_answers
from orbit_lite.personal.answering.summary import AnswersSummary
from orbit_lite.personal.recognizer import PersonalRecognizer
from orbit_lite.studio.arrivals import free_name
from orbit_lite.studio.locks import changing
from orbit_lite.studio.receiving import SentFile
from orbit_lite.studio.study import Participant

LOOKING = Looking(fps=10.0, smooth_s=0.5)  # as often as the camera is looked at


@dataclass(frozen=True)
class Tried:
    """A video or photo that was tried: its name, and the answer as written."""

    name: str
    answer: str
    kind: str


def try_file(personal: PersonalRecognizer, participant: Participant, sent: SentFile) -> VideoAnswer:
    """Answer every frame of an upload, and write the answers as `recognize` does; the upload is not kept.

    The answers are written beside the upload, and the participant's folder is held only while they go to their place:
    whoever films meanwhile need not wait.

    Raises:
        DataError: if it can't be read, or a link leads to the answers' folder.
    """
    participant.require_own(participant.answers_folder)
    tally, table_path, answers_path = VideoTally(), sent.path.with_suffix(".csv"), sent.path.with_suffix(".json")
    with (
        whole_table(table_path) as table,
        StreamWorker() as worker,
        closing(frame_answers(personal, sent.path, LOOKING, worker)) as answers,
    ):
        for answer in answers:
            tally.add(answer)
            table.add(sent.name, [answer])
    found = tally.video_answer()
    write_answers(
        answers_path,
        [(sent.name, found)],
        model=describe_model(participant.file, personal),
        settings={"fps": LOOKING.fps, "smooth_s": LOOKING.smooth_s},
        summary=AnswersSummary.of([(sent.name, found)]),
    )
    with changing(participant):
        participant.answers_folder.mkdir(parents=True, exist_ok=True)
        name = free_name(participant.answers_folder, f"{Path(sent.name).stem}.json")
        place = participant.answers_folder / name
        table_path.rename(place.with_suffix(".csv"))
        answers_path.rename(place)
    return found


def tried(participant: Participant, *, most: int = 20) -> list[Tried]:
    """What was tried so far, the last first."""
    folder = participant.answers_folder
    if participant.link_to(folder):
        return []
    files = [path for path in folder.glob("*.json") if path.is_file() and not path.is_symlink()]
    places = sorted(files, key=lambda path: (-path.stat().st_mtime_ns, natural_sort_key(path.name)))
    contents = (read_answers(path) for path in places[:most])
    return [
        Tried(video["video"], video["answer"], video["kind"])
        for content in contents
        if content
        for video in content["videos"]
    ]
