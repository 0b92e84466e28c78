"""Forgetting in a personal file: an object leaves nothing behind; what is no personal file is never deleted."""

import shutil

import pytest
import safetensors.torch
import torch

from orbit_lite.cli import main
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
    assert main(["forget", str(mine), "--object", gone]) == 0
    told = capsys.readouterr().out
    assert f"removed: {mine}: object {gone!r}" in told and "could not reach: the videos" in told
    content = mine.read_bytes()
    assert gone.encode() not in content and not any(digest.encode() in content for digest in traces)
    left = safetensors.torch.load_file(mine)["features"]
    assert not any((left == row).all(1).any() for row in rows)
    assert load_personal(mine).objects == tuple(name for name in before.objects if name != gone)


def test_the_whole_file_goes_and_exports_beside_it_are_named(mine, tmp_path, capsys):
    (tmp_path / "alice.onnx").write_bytes(b"")
    assert main(["forget", str(mine)]) == 0
    assert not mine.exists()
    assert f"could not reach: {tmp_path / 'alice.onnx'}" in capsys.readouterr().out


def test_nothing_else_is_ever_deleted(tmp_path, capsys):
    notes, checkpoint = tmp_path / "notes.txt", tmp_path / "best.safetensors"
    notes.write_text("mine")
    save_recognizer(checkpoint, build_recognizer("protonets", "tiny", weights="random"), config={})
    for path in (notes, checkpoint):
        assert main(["forget", str(path)]) == 1
        assert path.exists() and "not a personal recogniser" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give either FILE"),
        (["alice", "--data", "x"], "give either FILE"),
        (["alice", "--user", "x"], "--user and --run go with --data"),
        (["--data", "x"], "--data goes with --user NAME"),
        (["--data", "x", "--user", "y", "--object", "z"], "without --object"),
        (["nothing.safetensors"], "no such file"),
        (["--data", "nowhere", "--user", "y"], "no such folder"),
    ],
)
def test_what_is_asked_wrongly(arguments, said, capsys):
    assert main(["forget", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_an_unknown_object_changes_nothing(mine, capsys):
    before = mine.read_bytes()
    assert main(["forget", str(mine), "--object", "nonesuch"]) == 2
    assert mine.read_bytes() == before and "no object 'nonesuch'" in capsys.readouterr().err
    assert torch.isfinite(load_personal(mine).support.features).all()


def test_a_user_out_of_a_tree(pocket_frames, tmp_path, capsys):
    tree = shutil.copytree(pocket_frames, tmp_path / "frames")
    user = sorted((tree / "test").iterdir())[0].name
    assert main(["forget", "--data", str(tree), "--user", user]) == 0
    assert not (tree / "test" / user).exists() and user not in (tree / "index.csv").read_text()
    assert "could not reach: " in capsys.readouterr().out
