"""`orbit-lite recognize` on folders and photos: what is found, each answer, and the summary."""

import csv
import json
import shutil
from collections import Counter
from dataclasses import replace

import cv2
import pytest

from data_prep.making.pack import pack
from data_prep.video import read_frames
from eval.formats.answer_text import NONE_OF_THESE
from orbit_lite.cli.parser import main
from orbit_lite.personal.answering.answers import VideoAnswer
from orbit_lite.personal.answering.summary import AnswersSummary, ObjectCount, summary_text
from orbit_lite.personal.decision.rejection import Certainty, OperatingPoint, Rejection
from orbit_lite.personal.file import load_personal, save_personal


@pytest.fixture
def clutter(alice):
    return sorted(alice.glob("*/clutter/*.mp4"))


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def answer(thing, kind):
    return VideoAnswer(thing, kind, 10, 1, 0.0, 1.0, None if kind is Certainty.NONE else 0.9, ((thing, 10),))


def test_a_summary_counts_answers_by_object_and_kind():
    found = [
        ("1.mp4", answer("mug", Certainty.SURE)),
        ("2.mp4", answer("mug", Certainty.MAYBE)),
        ("3.jpg", answer("none of these", Certainty.MAYBE)),  # an object with this name
        ("4.mp4", answer(NONE_OF_THESE, Certainty.NONE)),
        ("5.heic", answer("cane", Certainty.SURE)),
    ]
    summary = AnswersSummary.of(found, failed=2)
    assert summary == AnswersSummary(
        videos=3,
        photos=2,
        failed=2,
        sure=2,
        maybe=2,
        none=1,
        objects=(ObjectCount("mug", 1, 1), ObjectCount("cane", 1, 0), ObjectCount("none of these", 0, 1)),
    )
    assert summary_text(summary).splitlines() == [
        "3 videos and 2 photos: 2 sure, 2 maybe, 1 none of these; 2 could not be read",
        "  mug: 2 (1 sure, 1 maybe)",
        "  cane: 1 (1 sure, 0 maybe)",
        '  "none of these": 1 (0 sure, 1 maybe)',
    ]
    assert summary_text(AnswersSummary.of(found[:1])).splitlines()[0] == "1 video: 1 sure, 0 maybe, 0 none of these"
    assert summary_text(AnswersSummary.of(found[2:3])).startswith("1 photo: ")


def test_a_folder_gives_its_videos_answers_and_a_summary(run_verb, alice_file, clutter, tmp_path):
    folder = tmp_path / "new"
    for number, video in enumerate(clutter):
        place = folder / ("mug/clutter" if number == 0 else "") / f"{9 + number}.mp4"
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(video, place)
    (folder / "notes.txt").write_text("shopping")
    outputs = ["--csv", tmp_path / "folder.csv", "--json", tmp_path / "folder.json"]
    status, out, _ = run_verb("recognize", "--model", alice_file, folder, *outputs)
    assert status == 0
    assert run_verb("recognize", "--model", alice_file, *clutter, "--csv", tmp_path / "videos.csv")[0] == 0
    rows, of_videos = rows_of(tmp_path / "folder.csv"), rows_of(tmp_path / "videos.csv")
    names = [folder / "10.mp4", folder / "11.mp4", folder / "mug/clutter/9.mp4"]
    assert list(dict.fromkeys(row["video"] for row in rows)) == [*map(str, names)]
    assert Counter(row["answer"] for row in rows) == Counter(row["answer"] for row in of_videos)
    content = json.loads((tmp_path / "folder.json").read_text())
    summary = content["summary"]
    assert (summary["videos"], summary["photos"], summary["failed"]) == (3, 0, 0)
    kinds = Counter(entry["kind"] for entry in content["videos"])
    assert (summary["sure"], summary["maybe"], summary["none"]) == (kinds["sure"], kinds["maybe"], kinds["none"])
    output = out.split("\n\n")[-1].splitlines()
    assert output[0] == f"3 videos: {kinds['sure']} sure, {kinds['maybe']} maybe, {kinds['none']} none of these"
    named = Counter(entry["object"] for entry in content["videos"] if entry["kind"] != "none")
    assert {row["object"]: row["sure"] + row["maybe"] for row in summary["objects"]} == named
    assert len(output) == 1 + len(named)


def test_one_video_has_no_summary_in_text(run_verb, alice_file, clutter):
    _, out, _ = run_verb("recognize", "--model", alice_file, clutter[0])
    assert "1 video:" not in out


def test_a_packed_user_gives_the_raw_videos_answers(run_verb, alice_file, alice, clutter, pocket_frames, tmp_path):
    pack(pocket_frames, tmp_path / "packed")
    archive = tmp_path / "packed/test" / f"{alice.name}.zip"
    frames = sorted((pocket_frames / "test" / alice.name).glob("*/clutter/*"))
    packed = [f"{archive}#{path.relative_to(pocket_frames / 'test' / alice.name).as_posix()}" for path in frames]
    tables = {}
    for name, videos in (("raw", clutter), ("packed", packed), ("frames", frames)):
        assert run_verb("recognize", "--model", alice_file, *videos, "--csv", tmp_path / f"{name}.csv")[0] == 0
        rows = rows_of(tmp_path / f"{name}.csv")
        tables[name] = sorted([tuple(row[key] for key in row if key != "video") for row in rows])
    assert tables["raw"] == tables["packed"] == tables["frames"]
    status, out, _ = run_verb("recognize", "--model", alice_file, archive)
    assert (status, "9 videos: " in out) == (0, True)


@pytest.fixture
def photos(clutter, tmp_path):
    """One picture of a video, as a photo of each kind."""
    picture = read_frames(clutter[0], [20], size_px=300)[0]
    folder = tmp_path / "photos"
    folder.mkdir()
    for suffix in ("jpg", "JPEG", "png", "webp"):
        cv2.imwrite(str(folder / f"a {suffix.lower()}.{suffix}"), picture[:, :, ::-1])
    return folder


def test_a_photo_is_one_frame(run_verb, alice_file, photos, tmp_path):
    outputs = ["--csv", tmp_path / "a.csv", "--json", tmp_path / "a.json"]
    status, out, _ = run_verb("recognize", "--model", alice_file, photos, *outputs)
    assert status == 0
    rows = rows_of(tmp_path / "a.csv")
    assert [(row["frame"], row["time_s"]) for row in rows] == [("1", "0.000")] * 4
    assert "4 photos: " in out
    assert "frames" not in out  # a photo has neither shares nor times
    content = json.loads((tmp_path / "a.json").read_text())
    assert [entry["frames"] for entry in content["videos"]] == [1] * 4
    for fps in ("1", "100"):
        assert (
            run_verb(
                "recognize", "--model", alice_file, photos / "a png.png", "--fps", fps, "--csv", tmp_path / "b.csv"
            )[0]
            == 0
        )
        assert len(rows_of(tmp_path / "b.csv")) == 1


def test_a_photo_is_spoken_at_once(run_verb, alice_file, photos):
    status, out, _ = run_verb("recognize", "--model", alice_file, photos / "a png.png", "--speak")
    assert (status, len(out.splitlines())) == (0, 1)


def test_photos_teach_and_each_is_one_frame(run_verb, alice, tmp_path):
    user = tmp_path / "user"
    for thing in sorted(path for path in alice.iterdir() if path.is_dir())[:2]:
        for number, video in enumerate(sorted((thing / "clean").glob("*.mp4"))):
            for place, picture in enumerate(read_frames(video, [1, 30], size_px=240)):
                path = user / thing.name / f"IMG {number}{place}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), picture[:, :, ::-1])
    model = ["--model", "protonets", "--backbone", "tiny", "--weights", "random"]
    assert run_verb("personalize", *model, "--videos", user, "--out", tmp_path / "a.safetensors")[0] == 0
    taught = load_personal(tmp_path / "a.safetensors").support.videos
    assert [(video.length, video.frames) for video in taught] == [(1, (1,))] * 8
    status, out, _ = run_verb("recognize", "--model", tmp_path / "a.safetensors", user)
    assert (status, "8 photos: " in out) == (0, True)


def test_an_unreadable_photo_does_not_affect_the_others(run_verb, alice_file, photos, tmp_path):
    (photos / "broken.jpg").write_text("no picture")
    status, out, last = run_verb("recognize", "--model", alice_file, photos, "--csv", tmp_path / "a.csv")
    assert (status, "1 of 5 videos failed" in last, len(rows_of(tmp_path / "a.csv"))) == (1, True, 4)
    assert "4 photos: " in out and "1 could not be read" in out


def test_strictness_changes_answers_and_nothing_else(run_verb, alice_file, clutter, tmp_path):
    personal = load_personal(alice_file)
    points = [OperatingPoint(aim, threshold, 99.0) for aim, threshold in ((0.05, -99.0), (0.1, 0.0), (0.2, 98.0))]
    calibration = replace(personal.calibration, rejection=Rejection(curve=tuple(points)))
    save_personal(tmp_path / "a.safetensors", replace(personal, calibration=calibration))
    tables = {}
    for name in ("eager", "careful"):
        options = ["--strictness", name, "--csv", tmp_path / "a.csv", "--json", tmp_path / "a.json"]
        assert run_verb("recognize", "--model", tmp_path / "a.safetensors", clutter[0], *options)[0] == 0
        tables[name] = rows_of(tmp_path / "a.csv")
        content = json.loads((tmp_path / "a.json").read_text())
        assert content["model"]["calibration"]["rejection"]["strictness"] == name
    assert {row["answer"] for row in tables["careful"]} == {NONE_OF_THESE}
    assert all(row["answer"] == f"maybe {row['likeliest']}" for row in tables["eager"])
    same = ("frame", "time_s", "confidence", "likeliest", "familiarity")
    eager, careful = ([[row[name] for name in same] for row in tables[name]] for name in ("eager", "careful"))
    assert eager == careful


def test_an_unknown_strictness_is_refused(run_verb, alice_file, clutter):
    assert run_verb("recognize", "--model", alice_file, clutter[0], "--strictness", "brave")[0] == 2


def test_empty_and_missing_folders_are_refused(run_verb, alice_file, tmp_path):
    (tmp_path / "empty").mkdir()
    status, _, last = run_verb("recognize", "--model", alice_file, tmp_path / "empty", "--csv", tmp_path / "a.csv")
    assert (status, f"{tmp_path / 'empty'}: has no video, photo or folder of frames" in last) == (1, True)
    assert run_verb("recognize", "--model", alice_file, tmp_path / "no.zip#mug/clutter/v")[0] == 2
    assert not (tmp_path / "a.csv").exists()


def test_help_mentions_photos_and_strictness(capsys):
    with pytest.raises(SystemExit):
        main(["recognize", "--help"])
    shown = capsys.readouterr().out
    assert "photos" in shown and "--strictness" in shown
