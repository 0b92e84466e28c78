"""The command line as a user sees it: a mistake gives one clear line and exit status 1 or 2, and leaves no files."""

import shutil

import pytest

from data_prep.tree.index import build_index
from groundwork.options import leaf_parsers
from orbit_lite.cli.parser import _parser, main

TINY = ["--model", "protonets", "--backbone", "tiny"]
VERBS = [parser.prog.removeprefix("orbit-lite ") for parser in leaf_parsers(_parser())]


@pytest.fixture
def run(capsys):
    """Run the command; return its exit status and its last line on stderr."""

    def call(*arguments):
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as stop:  # argparse's own
            status = stop.code
        error = capsys.readouterr().err
        assert "Traceback" not in error
        return status, error.strip().splitlines()[-1] if error.strip() else ""

    return call


@pytest.fixture
def tree(pocket_frames, tmp_path):
    """A copy of the frame tree that a test may damage."""
    shutil.copytree(pocket_frames, tmp_path / "frames")
    return tmp_path / "frames"


def first_object(tree, split="test"):
    user = sorted((tree / split).iterdir())[0]
    return sorted(user.iterdir())[0]


def reindexed(tree):
    (tree / "index.csv").unlink()
    build_index(tree)


def test_drawing_twice_gives_the_same_task_file(run, pocket_frames, tmp_path):
    for name in ("a.jsonl", "b.jsonl"):
        status, _ = run("tasks", "--data", pocket_frames, "--protocol", "orbit-2022", "--out", tmp_path / name)
        assert status == 0
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--protocol", "orbit2022"], "unknown protocol 'orbit2022' (did you mean 'orbit-2022'?)"),
        (["--protocol", "orbit-2022", "--split", "testing"], "unknown split 'testing' (did you mean 'test'?)"),
        (["--protocol", "orbit-2022", "--tasks-per-user", "0"], "expected 1 or more, got 0"),
        (["--protocol", "own.yaml"], "own.yaml: no such file"),
        (["--protocoll", "orbit-2022"], "no option '--protocoll' (did you mean '--protocol'?)"),
    ],
)
def test_a_usage_error_names_the_mistake(run, pocket_frames, tmp_path, arguments, message):
    status, line = run("tasks", "--data", pocket_frames, "--out", tmp_path / "t.jsonl", *arguments)
    assert (status, message in line) == (2, True), line
    assert list(tmp_path.iterdir()) == []


def test_a_missing_or_empty_folder_is_refused(run, tmp_path):
    (tmp_path / "empty").mkdir()
    for name in ("empty", "nothere"):
        for verb in (
            ["tasks", "--protocol", "orbit-2022", "--data", tmp_path / name, "--out", tmp_path / "t"],
            ["train", "pocket", "--data", tmp_path / name, "--out", tmp_path / "t"],
            ["evaluate", *TINY, "--protocol", "orbit-2022", "--data", tmp_path / name, "--out", tmp_path / "t"],
            ["prep", "extract", tmp_path / name, tmp_path / "t"],
            ["prep", "index", tmp_path / name],
        ):
            status, line = run(*verb)
            assert status == 2, verb
            assert str(tmp_path / name) in line
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_user_with_one_object_is_refused(run, tree, tmp_path, split):
    for folder in sorted(first_object(tree, split).parent.iterdir())[1:]:
        shutil.rmtree(folder)
    reindexed(tree)
    user = first_object(tree, split).parent.name
    if split == "test":
        verbs = [
            ["tasks", "--protocol", "orbit-2022"],
            ["evaluate", *TINY, "--protocol", "orbit-2022"],
        ]
    else:
        verbs = [["train", "pocket"]]
    for verb in verbs:
        status, line = run(*verb, "--data", tree, "--out", tmp_path / "out")
        assert (status, f"user {user} has 1 object" in line) == (1, True), line
    assert not (tmp_path / "out").exists()


def test_an_object_without_clutter_video_is_refused(run, tree, tmp_path):
    thing = first_object(tree)
    shutil.rmtree(thing / "clutter")
    reindexed(tree)
    for verb in (["tasks"], ["evaluate", *TINY]):
        status, line = run(*verb, "--protocol", "orbit-2022", "--data", tree, "--out", tmp_path / "out")
        assert (status, f"object '{thing.name}' has no query video" in line) == (1, True), line
    assert not (tmp_path / "out").exists()


def test_extract_and_index_accept_one_object_and_no_clutter(run, pocket_raw, tmp_path):
    thing = first_object(pocket_raw)
    shutil.copytree(thing / "clean", tmp_path / "raw" / thing.parent.name / thing.name / "clean")
    assert run("prep", "extract", tmp_path / "raw", tmp_path / "frames")[0] == 0
    assert run("prep", "index", tmp_path / "frames")[0] == 0
    assert run("prep", "verify", tmp_path / "frames")[0] == 0


def test_a_video_that_does_not_decode_is_named(run, pocket_raw, tmp_path):
    thing = first_object(pocket_raw)
    shutil.copytree(thing, tmp_path / "raw" / "P1" / thing.name)
    (tmp_path / "raw" / "P1" / thing.name / "clean" / "broken.mp4").write_bytes(b"no video at all" * 100)
    status, line = run("prep", "extract", tmp_path / "raw", tmp_path / "frames")
    assert (status, "broken.mp4" in line) == (1, True), line
    folders = [
        path for path in (tmp_path / "frames").rglob("*") if path.is_dir() and path.name.startswith(("P1--", "."))
    ]
    assert len(folders) == 3  # the three good videos: nothing half-written of the fourth


def test_an_outdated_index_is_refused(run, tree, tmp_path):
    (next(first_object(tree).glob("clean/*")) / "extra-00001.jpg").write_bytes(b"x")
    for verb in (["tasks"], ["evaluate", *TINY]):
        status, line = run(*verb, "--protocol", "orbit-2022", "--data", tree, "--out", tmp_path / "out")
        assert (status, f"run 'orbit-lite prep index {tree}' again" in line) == (1, True), line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("model", "message", "expected"),
    [
        (["--model", "nothere.safetensors"], "neither a checkpoint file nor a learner", 2),
        (["--model", "protonet", "--backbone", "tiny"], "did you mean 'protonets'", 2),
        (["--model", "protonets"], "it needs --backbone", 2),
        (["--model", "protonets", "--backbone", "efficientnet"], "unknown backbone 'efficientnet'", 2),
        (["--model", "protonets", "--backbone", "tiny", "--weights", "nothere.pth"], "nothere.pth", 2),
        (["--model", "protonets", "--backbone", "tiny", "--device", "gpu"], "--device gpu", 2),
        (["--model", "{tmp}/text.safetensors"], "text.safetensors", 1),
        (["--model", "{tmp}/cut.safetensors"], "cut.safetensors", 1),
    ],
)
def test_an_unusable_model_is_refused(run, pocket_frames, tmp_path, model, message, expected):
    (tmp_path / "text.safetensors").write_text("not a checkpoint")
    (tmp_path / "cut.safetensors").write_bytes(b"\x40\x00\x00\x00\x00\x00\x00\x00{")
    model = [part.replace("{tmp}", str(tmp_path)) for part in model]
    status, line = run(
        "evaluate", *model, "--data", pocket_frames, "--protocol", "orbit-2022", "--out", tmp_path / "out"
    )
    assert (status, message in line) == (expected, True), line
    assert not (tmp_path / "out").exists()


def test_a_mistake_in_an_experiment_is_named(run, pocket_frames, tmp_path):
    for override, message in [("optimiser.lr=1", "'optimiser'"), ("backbone=tinny", "tinny"), ("learner=cnap", "cnap")]:
        status, line = run("train", "pocket", override, "--data", pocket_frames, "--out", tmp_path / "out")
        assert (status, message in line) == (2, True), line
    assert list(tmp_path.iterdir()) == []


def test_settings_may_come_before_or_after_the_options(run, tmp_path):
    options = ["--data", tmp_path / "none", "--out", tmp_path / "out"]
    for arguments in (["epochs=0", *options], [*options, "epochs=0"], ["seed=1", *options, "epochs=0"]):
        status, line = run("train", "pocket", *arguments)
        assert (status, "epochs 0, but learner protonets has something to meta-train" in line) == (2, True), line
        assert "Value error" not in line


@pytest.mark.parametrize("more", ["epochs", "--epochs=3", "a=1"])
def test_an_argument_that_is_neither_setting_nor_option_is_refused(more, tmp_path, capsys):
    verb = ["cost", "--model", "protonets"] if more == "a=1" else ["train", "pocket", "--data", "x", "--out", "y"]
    with pytest.raises(SystemExit) as stopped:
        main([*verb, more])
    assert stopped.value.code == 2
    assert more.partition("=")[0] in capsys.readouterr().err


def test_an_output_folder_with_another_run_is_refused(run, pocket_frames, tmp_path):
    common = ["evaluate", *TINY, "--data", pocket_frames, "--out", tmp_path / "out", "--tasks-per-user", "1"]
    assert run(*common, "--protocol", "orbit-2022")[0] == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    status, line = run(*common, "--protocol", "orbit-2022", "--seed", "7")
    assert (status, "holds another run (seed is 1991 there, 7 here)" in line) == (2, True), line
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}


def test_predict_refuses_tasks_of_another_tree(run, pocket_frames, tree, tmp_path):
    assert run("tasks", "--data", pocket_frames, "--protocol", "orbit-2022", "--out", tmp_path / "t.jsonl")[0] == 0
    shutil.rmtree(first_object(tree).parent)
    reindexed(tree)
    status, line = run(
        "predict", *TINY, "--data", tree, "--tasks", tmp_path / "t.jsonl", "--out", tmp_path / "p.parquet"
    )
    assert (status, "these tasks were drawn from another tree" in line) == (1, True), line
    assert not (tmp_path / "p.parquet").exists()


def test_a_packed_tree_gives_the_same_results_and_unpacks_unchanged(run, pocket_frames, tmp_path):
    assert run("prep", "pack", pocket_frames, tmp_path / "packed")[0] == 0
    for name, tree in (("a", pocket_frames), ("b", tmp_path / "packed")):
        common = ["--data", tree, "--protocol", "orbit-2022", "--tasks-per-user", "1", "--out", tmp_path / name]
        assert run("evaluate", *TINY, *common)[0] == 0
    for file in ("tasks.jsonl", "predictions.parquet", "scorecard.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    assert run("prep", "pack", "--unpack", tmp_path / "packed", tmp_path / "again")[0] == 0
    frames = [path.relative_to(pocket_frames) for path in pocket_frames.rglob("*.jpg")]
    assert all((tmp_path / "again" / path).read_bytes() == (pocket_frames / path).read_bytes() for path in frames)
    status, line = run("prep", "pack", tmp_path / "packed", tmp_path / "twice")
    assert (status, "expected a frame tree" in line) == (2, True), line


def test_summarize_counts_users_objects_and_videos(pocket_frames, tmp_path, capsys):
    assert main(["prep", "summarize", str(pocket_frames), "--csv", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert printed.isascii()
    row = next(line.split() for line in printed.splitlines() if line.startswith("combined"))
    assert row[1:5] == ["6", "18", "36", "18"]  # users, objects, clean and clutter videos: 3 + 1 + 2 users of 3 objects
    assert (tmp_path / "counts.csv").is_file()


def test_verify_finds_a_damaged_frame(run, tree):
    frame = next(first_object(tree).rglob("*.jpg"))
    frame.write_bytes(frame.read_bytes()[:100])
    status, line = run("prep", "verify", tree)
    assert status == 1
    assert "fault" in line


@pytest.mark.parametrize("verb", ["", "prep", *VERBS])
def test_every_verb_has_help_in_plain_text_that_begins_with_its_purpose(verb, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*verb.split(), "--help"])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    assert printed.isascii()
    _usage, purpose, *_ = printed.split("\n\n")
    assert purpose[0].isupper() and purpose.endswith(".")


@pytest.mark.parametrize("verb", VERBS)
def test_an_unknown_option_is_reported_before_missing_required_ones(verb, run):
    """Every verb suggests the option that was meant, although its required options and arguments are missing."""
    for given in (["--verbos"], ["--verbos", "x"], ["--verbos=x"]):
        status, line = run(*verb.split(), *given)
        assert (status, line) == (2, f"orbit-lite {verb}: no option '--verbos' (did you mean '--verbose'?)")


def test_an_unwritable_output_is_reported_in_one_line(run, pocket_frames, tmp_path):
    (tmp_path / "file").write_text("x")
    out = tmp_path / "file" / "tasks.jsonl"
    status, line = run("tasks", "--data", pocket_frames, "--protocol", "orbit-2022", "--out", out)
    assert status == 2
    assert line.startswith(f"orbit-lite: --out {out}: no file can be written there ({tmp_path / 'file'}: ")


@pytest.mark.parametrize(
    ("command", "run_function", "then"),
    [
        (["demo"], "demo._demo", "run the same command to resume"),
        (["prep", "pack", "a", "b"], "prep.making._pack", "run the same command to resume"),
        (["tasks", "--data", "a", "--protocol", "orbit-2022"], "training._tasks", "nothing was written in part"),
        (["recognize", "--model", "a", "b"], "recognize._recognize", "nothing was written in part"),
    ],
)
def test_ctrl_c_says_whether_the_same_command_resumes(run, monkeypatch, command, run_function, then):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"orbit_lite.cli.{run_function}", stop)
    assert run(*command) == (130, f"orbit-lite: stopped; {then}")
