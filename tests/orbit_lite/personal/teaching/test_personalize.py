"""`personalize` as a user sees it: folders of real videos in, one file per user out, through the command line."""

import csv
import json
import re
import shutil
import socket
from functools import partial

import numpy as np
import pytest
import torch

from data_prep.making.pack import pack
from orbit_lite.models.extractor import build_extractor
from orbit_lite.personal.file import load_personal
from orbit_lite.personal.teaching.teach import held_out

MODEL = ["--model", "protonets", "--backbone", "tiny", "--device", "cpu"]


@pytest.fixture
def run(run_verb):
    return partial(run_verb, "personalize")


@pytest.fixture
def users(pocket_raw, tmp_path):
    """Copies of both test users' folders that tests may damage."""
    return [shutil.copytree(user, tmp_path / user.name) for user in sorted((pocket_raw / "test").iterdir())]


def things(folder):
    return sorted(path.name for path in folder.iterdir())


def spoil(folder, thing):
    for video in (folder / thing / "clean").iterdir():
        video.write_bytes(b"not a video")


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_it_reports_each_object_and_writes_one_file(run, alice, tmp_path):
    out = tmp_path / "alice.safetensors"
    status, output, _ = run(*MODEL, "--videos", alice, "--out", out)
    lines = output.splitlines()
    assert status == 0 and things(tmp_path) == ["alice.safetensors"]
    assert lines[0] == "3 clutter videos were not used: they do not teach, but are there to test the recognizer"
    assert lines[1] == f"{alice.name}: 3 objects"
    for thing in things(alice):
        (line,) = (line for line in lines if line.startswith(f"{thing}: 2 videos, "))
        assert re.search(r"\d+ s, \d+ frames taken; recognized in \d+ % of the frames of held-out videos", line)
    assert sum("2 videos are few" in line for line in lines) == 3
    assert any(line.startswith("'None of these' (balanced) should be the answer") for line in lines)
    assert lines[-1].startswith(f"written: {out}, ")
    assert load_personal(out).objects == tuple(things(alice))


def test_the_file_records_its_origin(alice_file):
    origin = load_personal(alice_file).origin
    assert origin["model"]["learner"] == "protonets" and origin["model"]["backbone"] == "tiny"
    assert origin["sampling"] == {"protocol": "own-videos", "step": 30, "every_still": True} | {
        "first_frames": 3000,
        "size_px": 224,
    }
    assert {"torch", "torchvision"} <= set(origin["versions"])
    json.dumps(origin)


def test_a_checkpoint_is_recorded_by_its_hash_and_config(run, alice, tmp_path):
    from groundwork.files import file_sha256
    from orbit_lite.models.checkpoint import save_recognizer
    from orbit_lite.models.learner import load_learner
    from orbit_lite.models.recognizer import build_recognizer

    checkpoint, out = tmp_path / "best.safetensors", tmp_path / "alice.safetensors"
    recognizer = build_recognizer(load_learner("protonets"), "tiny", weights="random", seed=3)
    save_recognizer(checkpoint, recognizer, config={"lite": {"mode": "lite"}})
    assert run("--model", checkpoint, "--device", "cpu", "--videos", alice, "--out", out)[0] == 0
    origin = load_personal(out).origin
    of_file = {"checkpoint": "best.safetensors", "sha256": file_sha256(checkpoint)}
    assert origin["model"] == of_file | {"validation_frame_accuracy": None, "validation_chance": None}
    assert origin["config"]["lite"] == {"mode": "lite"}


class TestSeveralParticipants:
    def test_each_gets_a_file_and_each_object_a_row(self, run, users, tmp_path):
        status, _, output = run(*MODEL, "--videos", *users, "--out", tmp_path / "out")
        assert status == 0
        assert things(tmp_path / "out") == [*(f"{user.name}.safetensors" for user in users), "participants.csv"]
        expected = [(user.name, thing) for user in users for thing in things(user)]
        table = rows(tmp_path / "out/participants.csv")
        assert [(row["participant"], row["object"]) for row in table] == expected
        assert all(row["videos"] == "2" and int(row["frames_taken"]) >= 2 for row in table)
        assert all(0 <= float(row["held_out_accuracy"]) <= 1 for row in table)
        assert output == f"one row per participant and object: {tmp_path / 'out/participants.csv'}"

    def test_each_is_taught_independently(self, run, users, tmp_path):
        run(*MODEL, "--videos", *users, "--out", tmp_path / "out")
        run(*MODEL, "--videos", users[1], "--out", tmp_path / "alone.safetensors")
        together = (tmp_path / "out" / f"{users[1].name}.safetensors").read_bytes()
        assert together == (tmp_path / "alone.safetensors").read_bytes()

    def test_a_failure_does_not_affect_the_others(self, run, users, tmp_path):
        spoil(users[0], things(users[0])[0])
        status, _, line = run(*MODEL, "--videos", *users, "--out", tmp_path / "out", "--csv", tmp_path / "rows.csv")
        assert (status, line) == (1, f"orbit-lite: 1 of 2 users failed: {users[0]}; the others were written")
        assert things(tmp_path / "out") == [f"{users[1].name}.safetensors"]
        assert {row["participant"] for row in rows(tmp_path / "rows.csv")} == {users[1].name}

    def test_if_all_fail_nothing_is_written(self, run, users, tmp_path):
        for user in users:
            spoil(user, things(user)[0])
        status, _, line = run(*MODEL, "--videos", *users, "--out", tmp_path / "out")
        assert (status, line) == (1, f"orbit-lite: 2 of 2 users failed: {users[0]}, {users[1]}; nothing was written")
        assert not (tmp_path / "out").exists()

    def test_two_folders_with_one_name_are_refused(self, run, users, tmp_path):
        twin = shutil.copytree(users[0], tmp_path / "more" / users[0].name)
        status, _, line = run(*MODEL, "--videos", users[0], twin, "--out", tmp_path / "out")
        assert status == 2 and f"two of the folders are named {users[0].name}" in line
        assert not (tmp_path / "out").exists()

    def test_a_packed_user_gives_the_same_recognizer_as_the_frames(self, run, pocket_frames, tmp_path):
        pack(pocket_frames, tmp_path / "packed")
        user = sorted((pocket_frames / "test").iterdir())[0]
        assert run(*MODEL, "--videos", user, "--out", tmp_path / "frames.safetensors")[0] == 0
        archive = tmp_path / "packed/test" / f"{user.name}.zip"
        assert run(*MODEL, "--videos", archive, "--out", tmp_path / "packed.safetensors")[0] == 0
        assert (tmp_path / "frames.safetensors").read_bytes() == (tmp_path / "packed.safetensors").read_bytes()


class TestMore:
    """--update: more objects, or more videos of them, without the other objects' videos."""

    @pytest.fixture
    def known(self, alice_file, tmp_path):
        return shutil.copy(alice_file, tmp_path / "alice.safetensors")

    @pytest.fixture
    def new(self, users):
        """Only the other user's first object."""
        for thing in things(users[1])[1:]:
            shutil.rmtree(users[1] / thing)
        return users[1]

    def test_an_object_joins_the_others_in_the_same_file(self, run, known, new, alice, tmp_path):
        status, output, _ = run("--update", known, "--videos", new, "--device", "cpu", "--csv", tmp_path / "rows.csv")
        assert status == 0 and f"written: {known}, " in output
        personal = load_personal(known)
        assert personal.user == alice.name and personal.objects == tuple(sorted([*things(alice), *things(new)]))
        assert [row["object"] for row in rows(tmp_path / "rows.csv")] == list(personal.objects)

    def test_repeating_a_finished_command_changes_nothing(self, run, known, new):
        command = ("--update", known, "--videos", new, "--device", "cpu")
        assert run(*command)[0] == 0
        before = known.read_bytes()
        status, output, result = run(*command)
        assert (
            status == 0
            and f"written: {known}, " in output
            and "note: all of these videos were already taught" in result
        )
        assert known.read_bytes() == before

    def test_a_known_object_is_refused_without_replace_or_extend(self, run, known, new, alice, tmp_path):
        before = known.read_bytes()
        (thing,) = things(new)
        (new / thing).rename(new / things(alice)[0])  # other videos under a known name
        status, _, line = run("--update", known, "--videos", new, "--device", "cpu")
        assert (
            status == 2 and "already known; use --replace to teach with the new videos instead of the old ones" in line
        )
        assert known.read_bytes() == before

    @pytest.mark.parametrize(("how", "videos"), [("--replace", 1), ("--extend", 2)])
    def test_new_videos_replace_the_old_or_join_them(self, run, known, users, how, videos):
        """The new video is one of the old ones: it counts once when extending, and is the only one when replacing."""
        for thing in things(users[0])[1:]:
            shutil.rmtree(users[0] / thing)
        (thing,) = things(users[0])
        max((users[0] / thing / "clean").iterdir()).unlink()
        assert run("--update", known, "--videos", users[0], "--device", "cpu", how)[0] == 0
        taught = [video for video in load_personal(known).support.videos if video.object == thing]
        assert len(taught) == videos

    def test_a_failure_leaves_the_file_as_it_was(self, run, known, new, tmp_path):
        before = known.read_bytes()
        spoil(new, things(new)[0])
        status, _, line = run("--update", known, "--videos", new, "--device", "cpu")
        assert status == 1 and "has no readable video" in line
        assert known.read_bytes() == before

    def test_with_out_the_updated_file_is_unchanged(self, run, known, new, tmp_path):
        before, out = known.read_bytes(), tmp_path / "more.safetensors"
        assert run("--update", known, "--videos", new, "--device", "cpu", "--out", out)[0] == 0
        assert known.read_bytes() == before and len(load_personal(out).objects) == 4


def test_a_requested_share_of_false_alarms_is_kept(run, alice, tmp_path):
    strict, balanced = tmp_path / "strict.safetensors", tmp_path / "balanced.safetensors"
    assert run(*MODEL, "--videos", alice, "--out", balanced)[0] == 0
    assert run(*MODEL, "--videos", alice, "--out", strict, "--false-alarms", "0.95")[0] == 0
    found, other = load_personal(strict).rejection, load_personal(balanced).rejection
    assert found.asked == 0.95 and other.asked is None and found.curve == other.curve
    assert found.point.false_alarms <= 0.95


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "protonet", "--out", "x"], "neither a checkpoint file nor a learner (did you mean 'protonets'?)"),
        (["--model", "protonets", "--out", "x"], "is a learner; it needs --backbone"),
        ([*MODEL], "--out is missing"),
        ([*MODEL, "--out", "x", "--replace"], "--replace and --extend need --update"),
        ([*MODEL, "--out", "x", "--false-alarms", "1"], "expected a share from 0 to below 1, got 1"),
        ([*MODEL, "--out", "x", "--false-alarms", "0.3", "--strictness", "eager"], "give only one of them"),
        (["--update", "x", "--false-alarms", "0.3"], "--false-alarms can't be used with --update"),
        ([*MODEL, "--out", "x", "--strictness", "strict"], "choose from"),
        ([*MODEL, "--out", "x", "--workers", "-1"], "expected 0 or more, got -1"),
        ([*MODEL, "--out", "."], "--out .: a folder; --out takes a file, such as alice.safetensors"),
        (["--model", "protonets", "--backbone", "tiny", "--device", "abacus", "--out", "x"], "--device abacus"),
        (["--update", "none.safetensors"], "none.safetensors: no such file"),
        ([*MODEL, "--update", "none.safetensors"], "not allowed with argument"),
    ],
)
def test_a_usage_error_names_the_mistake(run, alice, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    status, _, line = run(*arguments, "--videos", alice)
    assert (status, message in line) == (2, True), line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("spoilt", "message"),
    [
        ("no folder", "no such folder; expected a user's folder with OBJECT/FILE.mp4"),
        ("one object", "film at least 2"),
        ("empty object", "has no video"),
        ("unreadable object", "has no readable video"),
        ("the same video twice", "have the same video"),
        ("loose videos", "not in an object's folder"),
    ],
)
def test_an_unusable_folder_is_refused(run, users, tmp_path, spoilt, message):
    user, out = users[0], tmp_path / "alice.safetensors"
    out.write_bytes(b"what stood there")
    first, *others = things(user)
    if spoilt == "no folder":
        user = tmp_path / "nobody"
    elif spoilt == "one object":
        for thing in others:
            shutil.rmtree(user / thing)
    elif spoilt == "empty object":
        shutil.rmtree(user / first)
        (user / first).mkdir()
    elif spoilt == "unreadable object":
        spoil(user, first)
    elif spoilt == "the same video twice":
        shutil.copy(min((user / first / "clean").iterdir()), user / others[0] / "clean" / "again.mp4")
    else:
        shutil.copy(min((user / first / "clean").iterdir()), user / "loose.mp4")
    status, _, line = run(*MODEL, "--videos", user, "--out", out)
    assert status in (1, 2) and message in line, line
    assert out.read_bytes() == b"what stood there"
    assert not any(path.name.endswith(".part") for path in tmp_path.rglob("*"))


def test_an_unreadable_video_is_left_out_and_named(run, users, tmp_path):
    thing = things(users[0])[0]
    bad = min((users[0] / thing / "clean").iterdir())
    bad.write_bytes(b"not a video")
    status, output, _ = run(*MODEL, "--videos", users[0], "--out", tmp_path / "alice.safetensors")
    assert status == 0 and f"left out, can't be read: {bad}" in output.splitlines()[0]
    assert f"\n{thing}: 1 video, " in output and "This is a single video: film one or more others" in output


def test_a_full_disk_keeps_the_old_file(run, alice, small_disk):
    disk = small_disk(64)
    out = disk / "alice.safetensors"
    out.write_bytes(b"what stood there")
    status, _, line = run(*MODEL, "--videos", alice, "--out", out)
    assert status == 1 and "No space left" in line
    assert out.read_bytes() == b"what stood there" and things(disk) == ["alice.safetensors"]


def test_without_a_model_it_uses_the_embedded_start_without_a_network(run, alice, tmp_path, monkeypatch):
    connect = socket.socket.connect

    def no_network(self, address):
        assert self.family == socket.AF_UNIX, (
            f"asked the network: {address}"
        )  # connections to worker processes are allowed
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", no_network)
    out = tmp_path / "alice.safetensors"
    status, output, error = run("--videos", alice, "--out", out, "--device", "cpu", "--workers", "1")
    assert status == 0, error
    assert output.startswith(
        "no --model given: starting from EfficientNet-Lite0 with ImageNet weights and a ridge head"
    )
    personal = load_personal(out)
    assert personal.origin["model"]["learner"] == "ridge_two_views"
    assert personal.origin["model"]["backbone"] == "efficientnet_lite0"
    assert personal.origin["model"]["weights"] == "pretrained"
    pretrained = build_extractor("efficientnet_lite0", weights="pretrained").state_dict()
    kept = personal.fitted.recognizer.extractor.net.net.state_dict()
    assert all(value.equal(kept[name.removeprefix("net.")]) for name, value in pretrained.items())
    drawn_right = held_out(personal).right.mean()
    assert drawn_right > 0.5  # chance is 0.33 with 3 objects


def test_a_backbone_or_weights_without_a_model_are_refused(run, alice, tmp_path):
    for name, value in (("--backbone", "tiny"), ("--weights", "random")):
        status, _, error = run("--videos", alice, "--out", tmp_path / "a.safetensors", name, value)
        assert status == 2 and f"{name} also needs --model" in error
    assert not list(tmp_path.iterdir())


class TestRename:
    @pytest.fixture
    def known(self, alice_file, tmp_path):
        return shutil.copy(alice_file, tmp_path / "alice.safetensors")

    @pytest.mark.parametrize("new", ["zzz = last", "0 first", "Müller's"])
    def test_renaming_changes_only_the_name(self, run, known, alice, new):
        before, old = load_personal(known), things(alice)[0]
        status, output, _ = run("--update", known, "--rename", f"{old}={new}", "--device", "cpu")
        after = load_personal(known)
        assert status == 0 and new in output and after.objects == tuple(sorted([new, *things(alice)[1:]]))
        images = torch.randint(0, 256, (4, 3, after.frame_size_px, after.frame_size_px), dtype=torch.uint8)
        order = [after.objects.index(new if name == old else name) for name in before.objects]
        np.testing.assert_allclose(
            after.scores(images).probabilities[:, order], before.scores(images).probabilities, atol=1e-3
        )

    @pytest.mark.parametrize(
        ("pairs", "message"),
        [
            (["nothing=x"], "no object 'nothing'"),
            (["{0}"], "expected OLD=NEW"),
            (["{0}={1}"], "two objects would have this name"),
            (["{0}=a/b"], "can't be an object's name"),
            (["{0}=clutter"], "can't be an object's name"),
            (["{0}=x", "{0}=y"], "is given two names"),
        ],
    )
    def test_impossible_renames_are_refused_and_the_file_is_unchanged(self, run, known, alice, pairs, message):
        before = known.read_bytes()
        given = [word for pair in pairs for word in ("--rename", pair.format(*things(alice)))]
        status, _, line = run("--update", known, *given, "--device", "cpu")
        assert status == 2 and message in line and known.read_bytes() == before

    def test_two_names_can_be_swapped(self, run, known, alice):
        a, b = things(alice)[:2]
        assert run("--update", known, "--rename", f"{a}={b}", "--rename", f"{b}={a}", "--device", "cpu")[0] == 0
        assert load_personal(known).objects == tuple(things(alice))
