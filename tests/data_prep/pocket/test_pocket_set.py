"""The pocket set on disk: names, annotations, encoded pictures, the same bytes each time, interrupted work."""

import signal
import subprocess
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from data_prep.pocket.pocket_set import PocketSettings, PocketVideo, draw_video, make_pocket, plan_videos
from data_prep.pocket.scenes import square
from data_prep.tree.annotation_judge import read_annotations
from data_prep.tree.annotations import BOX, ISSUES, NOT_PRESENT
from data_prep.tree.layout import SPLITS, parse_video_name, slug
from groundwork.errors import UsageError
from groundwork.lock import only_run

ROOT = Path(__file__).resolve().parents[3]
SMALL = {"users": (1, 0, 1), "objects": 3, "clean_videos": 3, "clutter_videos": 1}
TINY = {"users": (1, 0, 0), "objects": 2, "clean_videos": 1, "clutter_videos": 1}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pocket") / "set"
    make_pocket(out, **SMALL, workers=2)
    return out


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pocket") / "set"
    make_pocket(out, **TINY, workers=1)
    return out


def videos_of(settings: dict, seed: int = 0) -> list[PocketVideo]:
    return list(plan_videos(PocketSettings(**settings, seed=seed)))


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def decoded(path: Path) -> np.ndarray:
    """All frames of a video, cut to the middle square, as BGR: (frames, side, side, 3)."""
    with av.open(str(path)) as container:
        frames = np.stack([frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)])
    left, top, side_px = square((frames.shape[2], frames.shape[1]))
    return frames[:, top : top + side_px, left : left + side_px]


def test_same_seed_gives_the_same_files_on_any_number_of_workers(tiny: Path, tmp_path: Path) -> None:
    make_pocket(tmp_path / "again", **TINY, workers=2)
    assert contents(tmp_path / "again") == contents(tiny)


def test_another_seed_gives_other_videos(tiny: Path, tmp_path: Path) -> None:
    make_pocket(tmp_path / "other", **TINY, seed=1, workers=2)
    ours = {content for name, content in contents(tiny).items() if name.endswith(".mp4")}
    assert ours.isdisjoint(contents(tmp_path / "other").values())


def test_a_video_does_not_depend_on_how_many_others_are_made(small: Path, tmp_path: Path) -> None:
    make_pocket(tmp_path / "less", users=(0, 0, 1), objects=3, clean_videos=1, clutter_videos=1, workers=2)
    larger = contents(small)
    less = {name: content for name, content in contents(tmp_path / "less").items() if name != "pocket.json"}
    assert len(less) == 2 * 3 * 2  # video and annotations, 3 objects, clean and clutter
    assert all(larger[name] == content for name, content in less.items())


def test_the_tree_has_orbits_layout(small: Path) -> None:
    videos = sorted(small.glob("*/*/*/*/*.mp4"))
    assert len(videos) == 2 * 3 * (3 + 1)
    for path in videos:
        split, user, thing, video_type = path.relative_to(small).parts[:4]
        name = parse_video_name(path.stem)
        assert split in SPLITS
        assert (name.user, name.object_slug, name.video_type) == (user, slug(thing), video_type)
        assert (small / "annotations" / split / f"{path.stem}.json").is_file()
    assert {path.name for path in small.iterdir()} == {"train", "test", "annotations", "pocket.json"}


def test_ids_and_names_are_as_awkward_as_orbits() -> None:
    videos = videos_of({"users": (14, 2, 4), "objects": 5, "clean_videos": 4, "clutter_videos": 2})
    names = [parse_video_name(video.video) for video in videos]
    assert len({video.video for video in videos}) == len(videos) == 600  # 20 users, 5 objects, 6 videos
    assert any("--" in name.id[1:] for name in names)
    assert any(name.id.startswith("-") for name in names)
    assert any(" " in video.object for video in videos)
    assert {(video.split, video.user) for video in videos if video.user == "P1001"} == {("train", "P1001")}


def test_annotations_name_every_frame_that_decodes(small: Path) -> None:
    for video in videos_of(SMALL):
        frames = decoded(video.path(small))
        annotations = read_annotations(video.annotations(small))
        assert list(annotations) == list(range(1, len(frames) + 1))
        keys = set(ISSUES) if video.video_type == "clean" else {BOX, NOT_PRESENT}
        assert all(set(entry) == keys for entry in annotations.values())
        capture = cv2.VideoCapture(str(video.path(small)))
        assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == len(frames)
        assert capture.get(cv2.CAP_PROP_FPS) == 30


def test_boxes_lie_on_the_object_in_the_encoded_picture(small: Path) -> None:
    settings = PocketSettings(**SMALL, seed=0)
    for video in [video for video in videos_of(SMALL) if video.video_type == "clutter"]:
        frames, annotations = decoded(video.path(small)), read_annotations(video.annotations(small))
        for number, scene in enumerate(draw_video(video, settings), start=1):
            left, top, side_px = square((scene.picture.shape[1], scene.picture.shape[0]))
            drawn = scene.picture[top : top + side_px, left : left + side_px]
            assert np.abs(frames[number - 1].astype(int) - drawn).mean() < 8  # the encoder's loss
            ys, xs = np.nonzero(scene.cover[top : top + side_px, left : left + side_px] > 0.5)
            box = annotations[number][BOX]
            if box is None:
                continue
            edges = np.array([box["x"], box["y"], box["x"] + box["w"], box["y"] + box["h"]]) * side_px / 1080
            bounds = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
            np.testing.assert_allclose(edges, bounds, atol=0.5)


def test_planted_issues_are_visible_in_the_encoded_pictures(small: Path) -> None:
    seen = {"blur_issue": 0, "overexposed_issue": 0, "underexposed_issue": 0}
    for video in [video for video in videos_of(SMALL) if video.video_type == "clean"]:
        frames, annotations = decoded(video.path(small)), read_annotations(video.annotations(small))
        sound = [not any(entry[issue] is not False for issue in ISSUES) for entry in annotations.values()]
        gray = [cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_BGR2GRAY) for frame in frames]
        sharpness = np.array([cv2.Laplacian(frame, cv2.CV_64F).var() for frame in gray])
        light = np.array([frame.mean() for frame in gray])
        for entry, sharp, bright in zip(annotations.values(), sharpness, light, strict=True):
            if entry["blur_issue"]:
                assert sharp < 0.5 * sharpness[sound].min()
            if entry["overexposed_issue"]:
                assert bright > light[sound].max() + 20
            if entry["underexposed_issue"]:
                assert bright < 0.5 * light[sound].min()
            for issue in seen:
                seen[issue] += bool(entry[issue])
    assert all(seen.values()), seen


def test_mean_color_does_not_tell_the_objects_apart() -> None:
    # 5 objects: chance is 0.2
    settings = {"users": (0, 2, 0), "objects": 5, "clean_videos": 1, "clutter_videos": 1}
    colors: dict[tuple[str, str, int], np.ndarray] = {}
    for video in videos_of(settings):
        means = [cv2.mean(scene.picture)[:3] for scene in draw_video(video, PocketSettings(**settings, seed=0))]
        colors[video.user, video.video_type, video.object_number] = np.array(means)
    right = []
    for (user, video_type, thing), means in colors.items():
        if video_type == "clutter":
            centroids = np.stack([colors[user, "clean", other].mean(axis=0) for other in range(5)])
            right += list(np.linalg.norm(means[:, None] - centroids, axis=2).argmin(axis=1) == thing)
    assert np.mean(right) < 0.5


def test_a_complete_set_is_left_alone(tiny: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in tiny.rglob("*")}
    summary = make_pocket(tiny, **TINY)
    assert (summary.videos, summary.made) == (4, 0)
    assert {path: path.stat().st_mtime_ns for path in tiny.rglob("*")} == before


def test_killed_work_resumes_and_leaves_no_partial_file(tiny: Path, tmp_path: Path) -> None:
    out, more = tmp_path / "set", {**TINY, "clean_videos": 12}
    program = f"""
import os, signal
from pathlib import Path
from data_prep.pocket.pocket_set import make_pocket
from groundwork.progress import Progress
advance = Progress.advance

def kill_at_four(progress):  # while its workers are making other videos
    if progress.done == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    advance(progress)

Progress.advance = kill_at_four
make_pocket(Path({str(out)!r}), **{more!r}, workers=2)
"""
    killed = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr  # its workers have closed the pipe too
    there = [video for video in videos_of(more) if video.annotations(out).is_file()]
    assert 4 <= len(there) < 26
    assert all(len(decoded(video.path(out))) == len(read_annotations(video.annotations(out))) for video in there)

    summary = make_pocket(out, **more, workers=2)
    assert (summary.videos, summary.made) == (26, 26 - len(there))
    after = contents(out)
    assert all(after[name] == content for name, content in contents(tiny).items() if name != "pocket.json")
    assert not [name for name in after if name.endswith(".part")]


def test_a_lost_file_is_made_again(tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    make_pocket(out, **TINY, workers=1)
    videos = videos_of(TINY)
    videos[0].path(out).unlink()
    videos[1].annotations(out).unlink()
    assert make_pocket(out, **TINY, workers=1).made == 2
    assert contents(out) == contents(tiny)


def test_two_commands_do_not_make_one_set_at_once(tmp_path: Path) -> None:
    with only_run(tmp_path), pytest.raises(UsageError, match="another run is writing here"):
        make_pocket(tmp_path, **TINY, workers=1)
    assert contents(tmp_path) == {}


def test_folders_that_hold_something_else_are_refused_and_left_alone(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds other files"):
        make_pocket(tmp_path, **TINY)
    with pytest.raises(UsageError, match="a file"):
        make_pocket(tmp_path / "thesis.txt", **TINY)
    with pytest.raises(UsageError, match=r"other settings \(seed 0\)"):
        make_pocket(tiny, **TINY, seed=1)
    assert {path.name for path in tmp_path.iterdir()} == {"thesis.txt"}


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"settings": 3, "whole": true}'])
def test_an_invalid_pocket_json_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "pocket.json").write_text(content)
    with pytest.raises(UsageError, match="not the settings of a pocket set"):
        make_pocket(tmp_path, **TINY)


@pytest.mark.parametrize(
    "wrong",
    [
        {"users": (0, 0, 0)},
        {"users": (1, -1, 1)},
        {"users": (1, 1)},
        {"users": (1000, 1, 1)},
        {"objects": 1},
        {"objects": 13},
        {"clean_videos": 0},
        {"clutter_videos": -1},
        {"seed": -1},
        {"workers": 0},
    ],
)
def test_impossible_numbers_are_refused_before_anything_is_written(tmp_path: Path, wrong: dict) -> None:
    with pytest.raises(UsageError, match="expected"):
        make_pocket(tmp_path / "set", **{**TINY, **wrong})
    assert not (tmp_path / "set").exists()
