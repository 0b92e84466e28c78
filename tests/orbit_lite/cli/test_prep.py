"""`orbit-lite prep …` as a user meets it: each verb does its work, and a mistake is one line."""

import json
import shutil
import zipfile

import pytest

from orbit_lite.cli.parser import main


@pytest.fixture
def run(capsys):
    """Run the command; return its exit status, its output, and its last line on stderr."""

    def call(*arguments):
        try:
            status = main(["prep", *map(str, arguments)])
        except SystemExit as stop:  # argparse's own
            status = stop.code
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        return status, printed.out, printed.err.strip().splitlines()[-1] if printed.err.strip() else ""

    return call


@pytest.fixture
def frames(pocket_frames, tmp_path):
    """One user of the pocket set's frame tree, without splits. May be spoilt."""
    user = sorted((pocket_frames / "test").iterdir())[0]
    shutil.copytree(user, tmp_path / "frames" / user.name)
    return tmp_path / "frames"


def test_extract_takes_shape_resample_and_a_flat_export(run, pocket_raw, tmp_path):
    videos = sorted((pocket_raw / "test").rglob("*.mp4"))[:2]
    (tmp_path / "flat").mkdir()
    for letter, video in zip("TP", videos, strict=True):
        shutil.copy(video, tmp_path / "flat" / f"P1--cup--{letter}--{letter.lower()}.mp4")
    settings = ["--size", "48", "--shape", "pad", "--resample", "lanczos", "--fps", "10", "--keep-names"]
    status, printed, _ = run(
        "extract", tmp_path / "flat", tmp_path / "out", "--flat", "--techniques", "T=clean,P=skip", *settings
    )
    assert status == 0 and "out: 1 video, " in printed
    made_by = json.loads((tmp_path / "out/manifest.json").read_text())["made_by"]
    assert (made_by["shape"], made_by["resample"], made_by["fps"]) == ("pad", "lanczos", 10)
    assert (tmp_path / "out/P1/cup/clean/P1--cup--clean--t").is_dir()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--shape", "round"], "no shape 'round'; choose from crop, pad, squash"),
        (["--resample", "cubic"], "no resampling method 'cubic'; choose from decoder, lanczos"),
        (["--techniques", "T=clean"], "add --flat"),
        (["--keep-names", "--discard-key"], "no key to discard"),
    ],
)
def test_extract_refuses_what_makes_no_sense(run, pocket_raw, tmp_path, arguments, told):
    status, _, error = run("extract", pocket_raw, tmp_path / "out", *arguments)
    assert status == 2 and told in error and not (tmp_path / "out").exists()


def test_images_makes_a_tree_that_every_verb_takes(run, pocket_frames, tmp_path, capsys):
    user = sorted((pocket_frames / "test").iterdir())[0]
    for thing in sorted(user.iterdir()):
        for number, frame in enumerate(sorted(thing.rglob("*.jpg"))[::40]):
            place = tmp_path / "photos" / thing.name / f"IMG_{number}.jpg"
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(frame, place)
    out = tmp_path / "out"
    asked = ["--user", "ann", "--burst", "2", "--clutter", "0.3", "--seed", "1", "--shape", "pad"]
    status, printed, _ = run("images", tmp_path / "photos", out, *asked)
    assert (
        status == 0
        and printed.startswith(f"{out}: ")
        and {path.name for path in out.glob("ann/*/*")}
        == {
            "clean",
            "clutter",
        }
    )
    assert run("verify", out)[0] == 0
    tiny = ["--model", "protonets", "--backbone", "tiny", "--weights", "random", "--device", "cpu"]
    common = ["evaluate", "--data", out, "--protocol", "own-videos", *tiny, "--workers", "0"]
    assert main([*map(str, common), "--out", str(tmp_path / "run")]) == 0
    capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--clutter", "1"], "--clutter: expected a share from 0 to below 1"),
        (["--burst", "0"], "--burst: expected 1 or more"),
        (["--clutter", "0.5", "--clutter-from", "test"], "not allowed with argument"),
        (["--user", "a/b"], "expected the name of one user's folder"),
    ],
)
def test_images_refuses_what_makes_no_sense(run, tmp_path, arguments, told):
    (tmp_path / "photos/mug").mkdir(parents=True)
    (tmp_path / "photos/mug/a.jpg").write_bytes(b"x")
    status, _, error = run("images", tmp_path / "photos", tmp_path / "out", *arguments)
    assert status == 2 and told in error and not (tmp_path / "out").exists()


def test_resize_pack_verify_and_unpack_in_a_row(run, frames, tmp_path):
    assert run("resize", frames, tmp_path / "small", "--size", "32")[0] == 0
    assert run("pack", tmp_path / "small", tmp_path / "packed")[0] == 0
    assert run("verify", tmp_path / "packed")[0] == 0
    assert run("pack", "--unpack", tmp_path / "packed", tmp_path / "again")[0] == 0
    one, other = (sorted(path.read_bytes() for path in (tmp_path / n).rglob("*.jpg")) for n in ("small", "again"))
    assert one == other and len(one) > 0


def test_verify_lists_every_fault_and_says_how_many(run, frames, capsys):
    assert run("index", frames)[0] == 0
    for path in sorted(frames.rglob("*.jpg"))[:2]:
        path.write_bytes(path.read_bytes()[:100])
    status, _, last = run("verify", frames)
    assert status == 1 and "faults" in last


def test_quality_speaks_to_the_person_filming_and_writes_tables(run, frames, tmp_path):
    status, printed, _ = run("quality", frames, "--csv", tmp_path / "tables")
    assert status == 0 and "estimates" in printed and "your " in printed
    assert sorted(path.name for path in (tmp_path / "tables").iterdir()) == ["quality_frames.csv", "quality_videos.csv"]


def test_split_needs_the_list_of_users(run, frames, tmp_path):
    status, _, error = run("split", frames, tmp_path / "out", "--users", tmp_path / "users.json")
    assert status == 2 and "users.json: no such file" in error


def test_download_takes_an_archive_that_is_here(run, frames, tmp_path):
    with zipfile.ZipFile(tmp_path / "test.zip", "w") as archive:
        for path in sorted(frames.rglob("*.jpg")):
            archive.write(path, "test/" + path.relative_to(frames).as_posix())
    status, printed, _ = run("download", tmp_path / "out", "--from-zip", tmp_path / "test.zip")
    assert status == 0 and "test verified" in printed and (tmp_path / "test.zip").is_file()
    assert run("download", tmp_path / "out", "--split", "testing")[0] == 2


def test_shards_are_joined_by_the_same_command_and_their_tables_by_join(run, pocket_raw, tmp_path):
    user = sorted((pocket_raw / "test").iterdir())[0]
    shutil.copytree(user / sorted(user.iterdir())[0].name, tmp_path / "raw" / user.name / "thing")
    extract = ("extract", tmp_path / "raw", tmp_path / "out", "--size", "48")
    for number in (2, 1):
        status, printed, _ = run(*extract, "--shard", f"{number}/2")
        assert status == 0 and f"out: shard {number}/2, " in printed and "without --shard to merge them" in printed
    status, printed, _ = run(*extract)
    assert status == 0 and "3 of them were already complete" in printed  # 2 clean videos, 1 of clutter
    for number in (1, 2):
        assert run("quality", tmp_path / "out", "--csv", tmp_path / "parts", "--shard", f"{number}/2")[0] == 0
    status, joined, _ = run("quality", tmp_path / "out", "--csv", tmp_path / "parts", "--join")
    assert status == 0 and "of 2 shards" in joined
    _, whole, _ = run("quality", tmp_path / "out", "--csv", tmp_path / "whole")
    assert joined.splitlines()[0] == whole.splitlines()[0]
    for name in ("quality_videos.csv", "quality_frames.csv"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.parametrize("verb", ["extract", "images", "quality"])
@pytest.mark.parametrize("shard", ["0/4", "5/4", "a/b"])
def test_a_bad_shard_is_one_line(run, frames, tmp_path, verb, shard):
    places = [frames] if verb == "quality" else [frames, tmp_path / "out"]
    status, _, told = run(verb, *places, "--shard", shard)
    assert status == 2 and "--shard: expected a shard I/N with I from 1 to N" in told and shard in told
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("asked", [["--shard", "1/2"], ["--join"], ["--join", "--csv", "t", "--json", "q.json"]])
def test_shards_of_quality_need_a_folder_for_their_tables(run, frames, tmp_path, monkeypatch, asked):
    monkeypatch.chdir(tmp_path)
    status, _, told = run("quality", frames, *asked)
    assert status == 2 and "give --csv FOLDER, and no --json" in told
