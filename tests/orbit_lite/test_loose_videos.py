"""Every command accepts the layout in docs/personalize.md, with videos or photos directly in an object's folder."""

import json
import shutil

import cv2
import pytest

from data_prep.tree.index import open_index
from data_prep.video import read_frames
from orbit_lite.cli.parser import main

TINY = ["--model", "protonets", "--backbone", "tiny", "--weights", "random", "--device", "cpu"]


@pytest.fixture(scope="module")
def tree(pocket_raw, tmp_path_factory):
    """One user: an object with loose videos next to clutter/, one with folders for both, one with only photos. Don't
    change it; copy it."""
    root = tmp_path_factory.mktemp("loose") / "raw"
    things = sorted(sorted((pocket_raw / "test").iterdir())[0].iterdir())
    for name, thing in zip(("mug", "my keys", "cane"), things, strict=True):
        for kind in ("clean", "clutter"):
            for number, video in enumerate(sorted((thing / kind).glob("*.mp4"))):
                place = root / "alice" / name / (kind if kind == "clutter" or name == "my keys" else "")
                place.mkdir(parents=True, exist_ok=True)
                if name == "cane":
                    for photo, frame in enumerate(read_frames(video, [1, 20], size_px=100)):
                        cv2.imwrite(str(place / f"IMG_{number}{photo}.jpg"), frame[:, :, ::-1])
                else:
                    shutil.copy(video, place / f"IMG_{number}.mp4")
    return root


@pytest.fixture
def copy(tree, tmp_path):
    return shutil.copytree(tree, tmp_path / "raw")


def run(*arguments):
    assert main(["--quiet", *map(str, arguments)]) == 0


def test_tasks_and_evaluate(copy, tmp_path):
    asked = ["--data", copy, "--protocol", "own-videos"]
    run("tasks", *asked, "--out", tmp_path / "tasks.jsonl")
    run("evaluate", *asked, *TINY, "--workers", "0", "--out", tmp_path / "run")
    task = json.loads((tmp_path / "tasks.jsonl").read_text().splitlines()[1])
    assert task["objects"] == ["cane", "mug", "my keys"]
    card = json.loads((tmp_path / "run/scorecard.json").read_text())
    assert card["overall"]["frame_accuracy"]["per_video"]["mean"] is not None


def test_prep(copy, tmp_path):
    run("prep", "extract", copy, tmp_path / "frames", "--size", "64", "--keep-names")
    raw, frames = open_index(copy), open_index(tmp_path / "frames")
    assert frames.fingerprint == raw.fingerprint
    kinds = {(row.object, row.video_type, row.is_stills) for row in frames.rows}
    assert kinds == {
        (name, kind, name == "cane") for name in ("mug", "my keys", "cane") for kind in ("clean", "clutter")
    }
    for verb in ("verify", "summarize", "index"):
        run("prep", verb, copy)
    manifest = json.loads((tmp_path / "frames/manifest.json").read_text())["videos"]
    readers = {place.split("/")[1]: record["reader"].split()[0] for place, record in manifest.items()}
    assert readers == {"cane": "Pillow", "mug": "PyAV", "my keys": "PyAV"}


def test_personalize_check_user_and_recognize(tree, tmp_path):
    alice = tree / "alice"
    run("personalize", *TINY, "--videos", alice, "--out", tmp_path / "alice.safetensors")
    run("check-user", alice, *TINY, "--out", tmp_path / "check")
    photo = sorted((alice / "cane").glob("*.jpg"))[0]
    run("recognize", "--model", tmp_path / "alice.safetensors", photo, "--csv", tmp_path / "answers.csv")
    assert len((tmp_path / "answers.csv").read_text().splitlines()) == 2  # the heading, and one frame
    assert "cane" in (tmp_path / "check/check.html").read_text()


def test_forget(copy, tmp_path):
    shutil.copytree(copy / "alice", copy / "ben")
    (copy / "alice/cane/notes.txt").write_text("mine")
    run("prep", "index", copy)
    ben = sorted(path.read_bytes() for path in (copy / "ben").rglob("*") if path.is_file())
    run("forget", "--data", copy, "--user", "alice", "--yes")
    assert [path.name for path in (copy / "alice").rglob("*") if path.is_file()] == ["notes.txt"]
    assert sorted(path.read_bytes() for path in (copy / "ben").rglob("*") if path.is_file()) == ben
    assert open_index(copy).users() == ("ben",)
