"""Files of every format that the kit reads, mutated: each is read, or refused in one line. No read hangs.

FUZZ sets the count for each format in the long test; seeds are by format and number, so that a failure comes again.
"""

import dataclasses
import json
import os
import random
import shutil
import time
import traceback
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors
import safetensors.torch
import torch

from groundwork.console import printable_line
from groundwork.errors import KitError
from tests.faults.mutating import Mutate, mutated_bytes, mutated_json, mutated_text

COUNT = 200
LONG_COUNT = int(os.environ.get("FUZZ", "3000"))
LONGEST_S = 20.0
LONGEST_LINE = 4000  # characters of a message before it is shortened for the terminal


@dataclasses.dataclass(frozen=True)
class Format:
    """A format: how to make a good file in a folder, how to mutate it, and every function that reads it."""

    make: Callable[[Path, Path], Path]  # (the whole set, an empty folder) -> the file
    read: Callable[[Path], object]
    mutate: Mutate = mutated_text
    count: int = COUNT


def first(folder: Path, pattern: str) -> Path:
    return min(folder.glob(pattern))


def copied_file(pattern: str) -> Callable[[Path, Path], Path]:
    def make(whole: Path, folder: Path) -> Path:
        found = first(whole, pattern)
        return Path(shutil.copy(found, folder / found.name))

    return make


def yaml_file(whole: Path, folder: Path) -> Path:
    from orbit_lite.config import configs_folder

    return Path(shutil.copy(configs_folder() / "experiment/pocket.yaml", folder / "x.yaml"))


def read_yaml_file(path: Path) -> object:
    from orbit_lite.training.experiment import load_experiment

    return load_experiment(str(path))


def read_index(path: Path) -> object:
    from data_prep.tree.index import read_rows

    return read_rows(path)


def read_manifest(path: Path) -> object:
    from data_prep.making.against_raw import _rate
    from data_prep.making.extract import VideoRecord
    from data_prep.making.run import MANIFEST_NAME, TreeRun, count_in_manifest

    count_in_manifest(path, "P1")
    _rate(path.parent)
    assert path.name == MANIFEST_NAME
    made_by = json.loads(GOOD["manifest"])["made_by"]
    return TreeRun(path.parent, path.parent, made_by, print, VideoRecord, 1.0)._read_records()


def names_file(whole: Path, folder: Path) -> Path:
    from data_prep.tree.naming import name_videos, scan_raw, table_path

    shutil.copytree(whole / "raw/test", folder / "raw/test")
    thing = first(folder, "raw/test/*/*")
    first(thing, "*/*.mp4").rename(thing / "clean/IMG_1.mp4")
    name_videos(folder / "raw", scan_raw(folder / "raw"))
    return table_path(folder / "raw")


def read_names(path: Path) -> object:
    from data_prep.tree.naming import name_videos, scan_raw

    root = path.parent / "raw"
    return name_videos(root, scan_raw(root))


def download_record(_: Path, folder: Path) -> Path:
    from data_prep.archives.download import RECORD_NAME, RECORD_SCHEMA

    split = {"source": "a.zip", "form": "224 px", "videos": 3, "md5": "0" * 32}
    (folder / RECORD_NAME).write_text(json.dumps({"schema": RECORD_SCHEMA, "splits": {"test": split}}))
    return folder / RECORD_NAME


def read_download_record(path: Path) -> object:
    from data_prep.archives.download import lower_count, records_split

    return records_split(path.parent, "test"), lower_count(path.parent, "test", 1)


def tasks_file(whole: Path, folder: Path) -> Path:
    from data_prep.tree.annotated_videos import TreeAnnotations
    from data_prep.tree.index import open_index
    from eval.formats.records import write_tasks
    from orbit_lite.config import load_protocol
    from orbit_lite.data.tasks import TaskSampler

    annotations = TreeAnnotations(open_index(whole / "frames"))
    plan = load_protocol("orbit-2022")
    sampler = TaskSampler(annotations.index, plan, split="test", seed=0, annotations=annotations)
    write_tasks(folder / "tasks.jsonl", sampler.draw_all(tasks_per_user=1))
    return folder / "tasks.jsonl"


def read_tasks_file(path: Path) -> object:
    from eval.formats.tasks import read_tasks

    return read_tasks(path)


def annotation_file(_: Path, folder: Path) -> Path:
    entry = {
        "object_not_present_issue": False,
        "blur_issue": True,
        "object_bounding_box": {"x": 1, "y": 2, "w": 3, "h": 4},
    }
    content = {f"v-{number:05d}.jpg": entry for number in range(1, 5)}
    (folder / "v.json").write_text(json.dumps(content))
    return folder / "v.json"


def read_annotation(path: Path) -> object:
    from data_prep.tree.annotation_judge import read_annotations

    return read_annotations(path, range(1, 5))


def checkpoint_file(_: Path, folder: Path) -> Path:
    from orbit_lite import build_recognizer
    from orbit_lite.models.checkpoint import save_recognizer

    recognizer = build_recognizer("feat", "tiny", weights="random", seed=0, frame_size_px=64)
    save_recognizer(folder / "c.safetensors", recognizer, config={"a": 1}, meta={"validation_frame_accuracy": 0.5})
    return folder / "c.safetensors"


def read_checkpoint(path: Path) -> object:
    from orbit_lite.models.checkpoint import load_recognizer, read_checkpoint_info

    info = read_checkpoint_info(path)
    return load_recognizer(path), info.validation_frame_accuracy, info.validation_chance


def pth_file(_: Path, folder: Path) -> Path:
    torch.save({"state_dict": {"a": torch.zeros(3), "b": torch.ones(2, 2)}}, folder / "x.pth")
    return folder / "x.pth"


def read_pth(path: Path) -> object:
    from orbit_lite.models.weight_files import read_metadata, read_weights

    return read_weights(path), read_metadata(path)


def personal_file(whole: Path, folder: Path) -> Path:
    from orbit_lite.models.choice import ModelChoice
    from orbit_lite.personal.teaching.personalize import personalize

    out = folder / "p.safetensors"
    (user,) = (whole / "raw/test").iterdir()
    personalize(ModelChoice("protonets", "tiny", "random"), [user], out, device=torch.device("cpu"), workers=1)
    return out


def read_personal(path: Path) -> object:
    from orbit_lite.personal.file import is_personal, load_personal, read_user

    read_user(path)
    is_personal(path)
    personal = load_personal(path)
    size = personal.frame_size_px
    return personal.scores(torch.zeros(2, 3, size, size, dtype=torch.uint8))


def packed_file(whole: Path, folder: Path) -> Path:
    from data_prep.making.pack import pack

    shutil.copytree(whole / "frames/test", folder / "frames")
    pack(folder / "frames", folder / "packed")
    return first(folder, "packed/*.zip")


def read_packed(path: Path) -> object:
    from data_prep.tree.index import build_index
    from data_prep.tree.own_videos import scan_own

    return build_index(path.parent), scan_own(path)


def read_archive(path: Path) -> object:
    from data_prep.archives.contents import find_videos
    from data_prep.archives.unzip import CheckedZip

    with CheckedZip(path) as archive:
        found = find_videos(archive, "test")
        return [archive.read(member) for video in found.videos[:2] for member in video.members[:2]]


def small_archive(whole: Path, folder: Path) -> Path:
    with zipfile.ZipFile(whole / "test.zip") as full, zipfile.ZipFile(folder / "a.zip", "w") as few:
        names = [name for name in full.namelist() if name.endswith(("-00001.jpg", "-00002.jpg"))]
        for name in names[:6]:
            few.writestr(name, full.read(name))
    return folder / "a.zip"


def small_video(whole: Path, folder: Path) -> Path:
    import av
    import numpy as np

    with av.open(str(folder / "v.mp4"), "w") as out:
        stream = out.add_stream("libx264", rate=30)
        stream.width = stream.height = 64
        for number in range(12):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 20 * number, np.uint8))
            for packet in stream.encode(frame):
                out.mux(packet)
        for packet in stream.encode():
            out.mux(packet)
    return folder / "v.mp4"


def read_video(path: Path) -> object:
    from data_prep.video import iterate_frames, probe

    probe(path)
    return sum(1 for _ in iterate_frames(path, size_px=64))


def photo_file(suffix: str) -> Callable[[Path, Path], Path]:
    def make(whole: Path, folder: Path) -> Path:
        from PIL import Image

        path = folder / f"x{suffix}"
        with Image.open(first(whole, "frames/test/*/*/clean/*/*.jpg")) as picture:
            picture.resize((96, 64)).save(path)
        return path

    return make


def read_photo_file(path: Path) -> object:
    from data_prep.video.photos import read_photo

    return read_photo(path)


def read_jpeg(path: Path) -> object:
    from data_prep.video import decode_jpeg

    return decode_jpeg(path.read_bytes())


def users_file(_: Path, folder: Path) -> Path:
    (folder / "u.json").write_text(json.dumps({"P1": {"P2": ["mug", "my keys"], "P3": ["bag"]}, "P4": {"P5": ["x"]}}))
    return folder / "u.json"


def read_users(path: Path) -> object:
    from data_prep.making.collectors import read_new_users

    return read_new_users(path)


def scorecard_files(whole: Path, folder: Path) -> tuple[Path, Path, Path]:
    import numpy as np

    from eval.formats.predictions import write_predictions
    from eval.formats.scorecard import write_scorecard
    from eval.formats.tasks import read_tasks, tasks_fingerprint
    from eval.score import score
    from eval.verbs import write_results_file

    tasks = read_tasks(tasks_file(whole, folder))
    rows = [
        {"user": task.user, "task": task.task, "video": video.video, "frame": frame, "prediction": 0, "confidence": 0.5}
        for task in tasks.tasks
        for video in task.query
        for frame in video.frames
    ]
    import pandas as pd

    table = pd.DataFrame(rows).astype({"task": np.int32, "frame": np.int32, "prediction": np.int32})
    write_predictions(folder / "p.parquet", table, metadata={"tasks_fingerprint": tasks_fingerprint(tasks)})
    write_scorecard(folder / "s.json", score(tasks, table, provenance={"model": "made"}))
    write_results_file(folder / "tasks.jsonl", folder / "p.parquet", folder / "results.json", form="2023")
    return folder / "p.parquet", folder / "s.json", folder / "results.json"


def read_scorecard_file(path: Path) -> object:
    from eval.formats.scorecard import read_scorecard

    return read_scorecard(path)


def read_predictions_file(path: Path) -> object:
    from eval.formats.predictions import read_answers_curve, read_predictions, read_predictions_metadata

    return read_predictions(path), read_predictions_metadata(path), read_answers_curve(path)


def read_results_json(path: Path) -> object:
    from eval.formats.challenge import read_results

    return read_results(path)


def answers_table(_: Path, folder: Path) -> Path:
    from groundwork.files import csv_text
    from orbit_lite.personal.answering.frame_table import COLUMNS

    rows = [("ann/cup/a.mp4", k, "0.1", "cup", "cup", "0.5", "cup", "-1.0") for k in range(4)]
    (folder / "t.csv").write_text(csv_text(COLUMNS, rows))
    return folder / "t.csv"


def read_answers_table(path: Path) -> object:
    import csv

    from orbit_lite.forgetting.tables import frames_of_table, users_of_table

    try:
        return users_of_table(path), frames_of_table(path)
    except csv.Error:  # find_in_table reports it
        return None


FORMATS = {
    "yaml": Format(yaml_file, read_yaml_file),
    "index": Format(copied_file("frames/index.csv"), read_index),
    "manifest": Format(copied_file("frames/manifest.json"), read_manifest),
    "names": Format(names_file, read_names),
    "download record": Format(download_record, read_download_record),
    "tasks": Format(tasks_file, read_tasks_file),
    "annotation": Format(annotation_file, read_annotation),
    "users": Format(users_file, read_users),
    "answers": Format(answers_table, read_answers_table),
    "scorecard": Format(lambda whole, folder: scorecard_files(whole, folder)[1], read_scorecard_file),
    "results": Format(lambda whole, folder: scorecard_files(whole, folder)[2], read_results_json),
    "predictions": Format(
        lambda whole, folder: scorecard_files(whole, folder)[0], read_predictions_file, mutated_bytes
    ),
    "checkpoint": Format(checkpoint_file, read_checkpoint, mutated_bytes, 100),
    "pth": Format(pth_file, read_pth, mutated_bytes),
    "personal": Format(personal_file, read_personal, mutated_bytes, 100),
    "packed user": Format(packed_file, read_packed, mutated_bytes, 60),
    "archive": Format(small_archive, read_archive, mutated_bytes),
    "video": Format(small_video, read_video, mutated_bytes, 100),
    "jpeg": Format(copied_file("frames/test/*/*/clean/*/*.jpg"), read_jpeg, mutated_bytes),
    **{
        suffix[1:]: Format(photo_file(suffix), read_photo_file, mutated_bytes, 100)
        for suffix in (".png", ".jpeg", ".webp", ".bmp")
    },
}
GOOD: dict[str, bytes] = {}


@pytest.fixture(scope="module")
def good(whole, tmp_path_factory) -> Callable[[str], Path]:
    """A good file of a format, in its own folder; GOOD has its bytes."""
    made: dict[str, Path] = {}

    def file(name: str) -> Path:
        if name not in made:
            made[name] = FORMATS[name].make(whole, tmp_path_factory.mktemp("fuzz"))
            GOOD[name] = made[name].read_bytes()
        return made[name]

    return file


def outcome(read: Callable[[], object]) -> str:
    """How reading failed; "" if the file was read, or refused in one line."""
    started_s = time.monotonic()
    try:
        with warnings.catch_warnings(action="ignore"):
            read()
    except KitError as error:
        if len(str(error)) > LONGEST_LINE or "\n" in printable_line(str(error)):
            return f"a message of {len(str(error))} characters: {str(error)[:200]!r}"
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:200]}\n{''.join(traceback.format_tb(error.__traceback__)[-3:])}"
    took_s = time.monotonic() - started_s
    return f"took {took_s:.0f} s" if took_s > LONGEST_S else ""


def fuzz(name: str, path: Path, count: int) -> list[str]:
    """List the failures among the mutations of a format, each with its number."""
    wrong, kind = [], FORMATS[name]
    for number in range(count):
        path.write_bytes(kind.mutate(GOOD[name], random.Random(f"{name} {number}")))
        if fault := outcome(lambda: kind.read(path)):
            wrong.append(f"{name} {number}: {fault}")
    path.write_bytes(GOOD[name])
    return wrong


def rewritten(path: Path, count: int, name: str, read: Callable[[Path], object], kind: Any, header: str) -> list[str]:
    """The same for a hashed file whose header is mutated and hashed again, so that its hash matches."""
    wrong: list[str] = []
    tensors = safetensors.torch.load_file(path)
    content = json.loads(json.loads(safetensors.safe_open(path, "pt").metadata()[header])["header"])
    for number in range(count):
        changed = mutated_json(content, random.Random(f"{name} header {number}"))
        kind.write(path, json.dumps(changed), tensors)
        if fault := outcome(lambda: read(path)):
            wrong.append(f"{name} header {number}: {fault}")
    path.write_bytes(GOOD[name])
    return wrong


@pytest.mark.parametrize("name", FORMATS)
def test_a_mutated_file_is_read_or_refused_in_one_line(good, name):
    path = good(name)
    FORMATS[name].read(path)  # the unchanged file can be read
    assert fuzz(name, path, FORMATS[name].count) == []


@pytest.mark.parametrize("name", ["checkpoint", "personal"])
def test_a_mutated_header_with_a_matching_hash_is_read_or_refused_in_one_line(good, name):
    assert rehashed(good(name), name, COUNT // 2) == []


def rehashed(path: Path, name: str, count: int) -> list[str]:
    from orbit_lite.models.checkpoint import CHECKPOINT
    from orbit_lite.personal.file import PERSONAL

    read, kind = {"checkpoint": (read_checkpoint, CHECKPOINT), "personal": (read_personal, PERSONAL)}[name]
    return rewritten(path, count, name, read, kind, kind.key)


@pytest.mark.long
@pytest.mark.parametrize("name", FORMATS)
def test_many_mutations(good, name):
    path = good(name)
    wrong = fuzz(name, path, LONG_COUNT)
    if name in ("checkpoint", "personal"):
        wrong += rehashed(path, name, LONG_COUNT)
    assert wrong == []
