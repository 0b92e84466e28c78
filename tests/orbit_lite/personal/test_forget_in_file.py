"""Forgetting in a personal file: an object leaves nothing behind, and other files are never deleted."""

import shutil

import pytest
import safetensors.torch
import torch

from orbit_lite.cli.parser import main
from orbit_lite.models.checkpoint import save_recognizer
from orbit_lite.models.recognizer import build_recognizer
from orbit_lite.personal.file import load_personal


@pytest.fixture
def mine(alice_file, tmp_path):
    return shutil.copy(alice_file, tmp_path / "alice.safetensors")


def test_an_object_leaves_nothing_behind(mine, capsys):
    before = load_personal(mine)
    gone = before.objects[1]
    traces = [video.digest for video in before.support.videos if video.object == gone]
    rows = before.support.features[before.support.labels == 1]
    assert main(["forget", "--yes", str(mine), "--object", gone]) == 0
    result = capsys.readouterr().out
    assert f"removed: {mine}: object {gone!r}" in result and "could not reach: the videos" in result
    content = mine.read_bytes()
    assert gone.encode() not in content and not any(digest.encode() in content for digest in traces)
    left = safetensors.torch.load_file(mine)["features"]
    assert not any((left == row).all(1).any() for row in rows)
    assert load_personal(mine).objects == tuple(name for name in before.objects if name != gone)


def test_the_whole_file_is_removed_and_exports_are_named(mine, tmp_path, capsys):
    (tmp_path / "alice.onnx").write_bytes(b"")
    assert main(["forget", "--yes", str(mine)]) == 0
    assert not mine.exists()
    assert f"could not reach: {tmp_path / 'alice.onnx'}" in capsys.readouterr().out


def test_nothing_else_is_ever_deleted(tmp_path, capsys):
    notes, checkpoint = tmp_path / "notes.txt", tmp_path / "best.safetensors"
    notes.write_text("mine")
    save_recognizer(checkpoint, build_recognizer("protonets", "tiny", weights="random"), config={})
    for path in (notes, checkpoint):
        assert main(["forget", "--yes", str(path)]) == 1
        assert path.exists() and "not a personal recognizer" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected FILE, a personal recognizer; or --data"),
        (["alice", "--data", "x"], "expected FILE, a personal recognizer; or --data"),
        (["alice", "--user", "x"], "--user and --run need --data"),
        (["--data", "x"], "--data needs --user NAME"),
        (["--data", "x", "--user", "y", "--object", "z"], "can't be used with --object"),
        (["nowhere/alice.safetensors"], "no such folder"),
        (["alice", "--yes", "--dry-run"], "not allowed with"),
        (["--data", "nowhere", "--user", "y"], "no such folder"),
    ],
)
def test_usage_errors(arguments, message, capsys):
    try:
        assert main(["forget", *arguments]) == 2
    except SystemExit as stopped:  # argparse's own
        assert stopped.code == 2
    assert message in capsys.readouterr().err


def test_an_unknown_object_changes_nothing(mine, capsys):
    before = mine.read_bytes()
    assert main(["forget", "--yes", str(mine), "--object", "nonesuch"]) == 0
    assert f"{mine}: nothing of object 'nonesuch': already gone, or never here" in capsys.readouterr().out
    name = load_personal(mine).objects[0]
    assert main(["forget", "--yes", str(mine), "--object", name.upper()]) == 1
    assert f"did you mean {name!r}? Nothing was removed" in capsys.readouterr().err
    assert mine.read_bytes() == before
    assert torch.isfinite(load_personal(mine).support.features).all()


def test_a_second_time_nothing_is_left(mine, capsys):
    first, second = load_personal(mine).objects[:2]
    assert main(["forget", "--yes", str(mine), "--object", first]) == 0
    content = mine.read_bytes()
    assert main(["forget", str(mine), "--object", first]) == 0
    assert mine.read_bytes() == content and "already gone" in capsys.readouterr().out
    assert main(["forget", "--yes", str(mine), "--object", first, "--object", second]) == 0
    assert {first, second}.isdisjoint(load_personal(mine).objects)
    for _ in range(2):
        assert main(["forget", "--yes", str(mine)]) == 0
    assert f"{mine}: no such file: already gone, or never here" in capsys.readouterr().out


@pytest.mark.parametrize("names", [0, 1])
def test_nothing_is_removed_without_consent(names, mine, capsys):
    arguments = ["forget", str(mine), *("--object", load_personal(mine).objects[0])[: 2 * names]]
    before = mine.read_bytes()
    assert main(arguments) == 2
    result = capsys.readouterr()
    assert f"to remove: {mine}: " in result.out and "no terminal to ask on" in result.err and "--yes" in result.err
    assert main([*arguments, "--dry-run"]) == 0
    result = capsys.readouterr().out
    assert f"to remove: {mine}: " in result and "could not reach: " in result and "nothing was removed" in result
    assert mine.read_bytes() == before


@pytest.mark.parametrize("names", [0, 1])
def test_a_link_to_a_file_is_refused(names, mine, tmp_path, capsys):
    before = mine.read_bytes()
    (tmp_path / "link.safetensors").symlink_to(mine)
    arguments = ["--object", load_personal(mine).objects[0]][: 2 * names]
    assert main(["forget", "--yes", str(tmp_path / "link.safetensors"), *arguments]) == 2
    assert f"a symbolic link to {mine}" in capsys.readouterr().err
    assert mine.read_bytes() == before and (tmp_path / "link.safetensors").is_symlink()


def test_a_user_is_removed_from_a_tree(pocket_frames, tmp_path, capsys):
    tree = shutil.copytree(pocket_frames, tmp_path / "frames")
    user = sorted((tree / "test").iterdir())[0].name
    assert main(["forget", "--yes", "--data", str(tree), "--user", user]) == 0
    assert not (tree / "test" / user).exists() and user not in (tree / "index.csv").read_text()
    assert "could not reach: " in capsys.readouterr().out
