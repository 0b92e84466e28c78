"""Invalid annotations: `prep verify`, `tasks` and `evaluate` report the same error, before anything is predicted."""

import json
import re
import shutil

import cv2
import numpy as np
import pytest

from data_prep.making.verify import verify
from data_prep.tree.annotated_videos import VideoAnnotations
from data_prep.tree.annotation_judge import judge_annotations
from data_prep.tree.annotations import BOX, ISSUES, NOT_PRESENT
from data_prep.tree.index import build_index
from data_prep.tree.layout import annotation_path, frame_file_name
from data_prep.video import encode_jpeg
from orbit_lite.cli.parser import main
from orbit_lite.config import configs_folder

FRAMES = 3
VIDEOS = {("cup", "clean"): "ann--cup--clean--a", ("cup", "clutter"): "ann--cup--clutter--b"}
VIDEOS |= {("mug", "clean"): "ann--mug--clean--c", ("mug", "clutter"): "ann--mug--clutter--d"}
CLEAN, CLUTTER = VIDEOS["cup", "clean"], VIDEOS["mug", "clutter"]


@pytest.fixture(scope="session")
def sound(tmp_path_factory):
    """A tree of one test user with two objects, with every video annotated as in ORBIT."""
    root = tmp_path_factory.mktemp("annotated") / "tree"
    rng = np.random.default_rng(1)
    for (thing, video_type), video in VIDEOS.items():
        folder = root / "test/ann" / thing / video_type / video
        folder.mkdir(parents=True)
        for number in range(1, FRAMES + 1):
            picture = cv2.resize(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8), (224, 224))
            (folder / frame_file_name(video, number)).write_bytes(encode_jpeg(picture))
        entry = {BOX: {"x": 9, "y": 9, "w": 99, "h": 99}, NOT_PRESENT: False}
        entry = dict.fromkeys(ISSUES, False) if video_type == "clean" else entry
        path = annotation_path(root, "test", video)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({frame_file_name(video, n): entry for n in range(1, FRAMES + 1)}))
    build_index(root)
    return root


@pytest.fixture
def tree(sound, tmp_path):
    shutil.copytree(sound, tmp_path / "tree")
    return tmp_path / "tree"


@pytest.fixture
def protocol(tmp_path):
    """The leaderboard's protocol, which filters by annotations, for videos of three frames."""
    text = (configs_folder() / "protocol" / "orbit-2022.yaml").read_text()
    path = tmp_path / "short.yaml"
    path.write_text(re.sub(r"min_frames: \d+", "min_frames: 1", text))
    return path


def verbs(tree, protocol, out):
    """The commands `tasks` and `evaluate` on the tree, and their output files."""
    drawn = ["--data", tree, "--protocol", protocol, "--tasks-per-user", "1"]
    model = ["--model", "protonets", "--backbone", "tiny", "--weights", "random", "--workers", "0"]
    return {
        out / "tasks.jsonl": ["tasks", *drawn, "--out", out / "tasks.jsonl"],
        out / "run": ["evaluate", *model, *drawn, "--out", out / "run"],
    }


def replaced(text, before, after):
    assert before in text
    return text.replace(before, after, 1)


# Damage to a file: which file, how its text changes, and the message.
CASES = {
    "NaN box": (
        CLUTTER,
        '"w": 99',
        '"w": NaN',
        f"{BOX} is {{'x': 9, 'y': 9, 'w': nan, 'h': 99}}; expected",
    ),
    "outside": (
        CLUTTER,
        '"x": 9',
        '"x": 2000',
        f"{BOX} is {{'x': 2000, 'y': 9, 'w': 99, 'h': 99}}: not in",
    ),
    "before it": (CLUTTER, '"y": 9', '"y": -500', "not in the picture"),
    "box as text": (CLUTTER, '{"x": 9, "y": 9, "w": 99, "h": 99}', '"none"', f"{BOX} is 'none'; expected null"),
    "false as text": (CLUTTER, "false", '"false"', f"{NOT_PRESENT} is 'false'; expected true, false or null"),
    "false as text, clean": (CLEAN, "false", '"false"', f"{NOT_PRESENT} is 'false'; expected true, false or null"),
    "zero": (CLEAN, '"blur_issue": false', '"blur_issue": 0', "blur_issue is 0; expected true, false or null"),
    "key twice": (
        CLUTTER,
        f'"{NOT_PRESENT}"',
        f'"{NOT_PRESENT}": true, "{NOT_PRESENT}"',
        f"{NOT_PRESENT} appears twice",
    ),
    "side twice": (CLUTTER, '"x": 9', '"x": 9, "x": 9', f"{BOX}: x appears twice"),
    "frame twice": (CLUTTER, "{", f'{{"{CLUTTER}-00002.jpg": {{}}, ', "there is a second entry with this name"),
    "frame missing": (CLUTTER, "00003.jpg", "00002.jpg", "there is a second entry with this name"),
    "frame unknown": (CLUTTER, "00003.jpg", "00009.jpg", f"{CLUTTER}-00009.jpg: no such frame"),
    "another video": (CLUTTER, f"{CLUTTER}-00001", f"{CLEAN}-00001", f"{CLEAN}-00001.jpg: no such frame"),
    "cut off": (CLUTTER, "}}", "", "not JSON"),
}


@pytest.mark.parametrize("case", CASES)
def test_an_invalid_file_is_reported_first_by_every_command(tree, protocol, tmp_path, capsys, case):
    video, before, after, said = CASES[case]
    path = annotation_path(tree, "test", video)
    path.write_text(replaced(path.read_text(), before, after))
    faults = [fault for fault in verify(tree) if fault.kind == "annotation"]
    assert {fault.path for fault in faults} == {path.relative_to(tree).as_posix()} and len(faults) == len(verify(tree))
    _, judged = judge_annotations(path, range(1, FRAMES + 1))
    assert sorted(fault.detail for fault in faults) == sorted(judged) and said in judged[0]
    assert main(["prep", "verify", str(tree)]) == 1
    assert judged[0] in capsys.readouterr().err
    for place, verb in verbs(tree, protocol, tmp_path).items():
        assert main(list(map(str, verb))) == 1
        line = next(line for line in capsys.readouterr().err.splitlines() if line.startswith("orbit-lite: "))
        assert line.startswith(f"orbit-lite: {path}: {judged[0]}")
        assert not place.exists()


def test_a_valid_file_is_accepted(tree, protocol, tmp_path):
    assert verify(tree) == []
    for place, verb in verbs(tree, protocol, tmp_path).items():
        assert main(list(map(str, verb))) == 0
        assert place.exists()


def test_evaluate_reads_each_file_once(tree, protocol, tmp_path, monkeypatch):
    """For the plan and for accuracy by annotation."""
    paths, read = [], VideoAnnotations.read
    monkeypatch.setattr(VideoAnnotations, "read", lambda path, frames: paths.append(path.stem) or read(path, frames))
    verb = verbs(tree, protocol, tmp_path)[tmp_path / "run"]
    assert main(list(map(str, verb))) == 0
    assert sorted(paths) == sorted(VIDEOS.values())
    card = json.loads((tmp_path / "run" / "scorecard.json").read_text())
    assert card["by_annotation"]["box_size"]
