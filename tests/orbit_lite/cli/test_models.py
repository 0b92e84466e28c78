"""The verbs `convert` and `cost` as a user sees them."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from groundwork.files import part_path
from orbit_lite.cli.parser import main
from orbit_lite.models.checkpoint import load_recognizer, read_checkpoint_info
from orbit_lite.models.extractor import build_extractor

TINY = ["--learner", "protonets", "--backbone", "tiny"]


@pytest.fixture
def run(capsys) -> Callable[..., tuple[int, str, str]]:
    """Run the command; return its exit status, its output, and its last line on stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as stop:  # argparse's own
            status = int(stop.code or 0)
        output = capsys.readouterr()
        assert "Traceback" not in output.err
        return status, output.out, output.err.strip().splitlines()[-1] if output.err.strip() else ""

    return call


@pytest.fixture
def published(tmp_path: Path) -> Path:
    net = build_extractor("tiny", weights="random", seed=5).net
    weights = {f"feature_extractor.{name}": value for name, value in net.state_dict().items()}
    torch.save(weights, tmp_path / "x.pth")
    return tmp_path / "x.pth"


def test_convert_writes_a_checkpoint_of_this_kit(run, published: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "x.safetensors"
    status, output, _ = run("convert", published, *TINY, "--out", out)
    assert (status, output) == (0, f"{out}: 385208 parameters, with the published code's arithmetic\n")
    assert read_checkpoint_info(out).learner.published_quirks
    expected = build_extractor("tiny", weights="random", seed=5).state_dict()
    loaded = load_recognizer(out).extractor.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in expected.items())
    first = out.read_bytes()
    assert run("convert", published, *TINY, "--out", out)[0] == 0  # --out FILE is replaced, as by every verb
    assert out.read_bytes() == first


@pytest.mark.parametrize(
    ("arguments", "message", "expected"),
    [
        (["nothere.pth", *TINY], "nothere.pth: no such file", 2),
        (["x.pth", "--learner", "protonet", "--backbone", "tiny"], "did you mean 'protonets'", 2),
        (["x.pth", "--learner", "protonets", "--backbone", "tinny"], "did you mean 'tiny'", 2),
        (["x.pth", "--learner", "protonets"], "give --learner and --backbone", 2),
        (["x.pth", *TINY, "--frame-size", "0"], "expected 1 or more", 2),
        (["x.pth", "--learner", "cnaps", "--backbone", "tiny"], "missing (set_encoder.encoder.layer1.0.weight", 1),
        (["hostile.pth", *TINY], "no code in it was run", 1),
        (["text.pth", *TINY], "text.pth", 1),
        (["cut.pth", *TINY], "cut.pth", 1),
        (["ours.safetensors", *TINY], "already a checkpoint of this kit", 2),
    ],
)
def test_convert_names_the_mistake(
    run, published: Path, tmp_path: Path, monkeypatch, arguments: list[str], message: str, expected: int
) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[object, tuple[str, ...]]:
            return exec, (f"open({str(tmp_path / 'was-run')!r}, 'w').close()",)

    (tmp_path / "hostile.pth").write_bytes(pickle.dumps({"feature_extractor.0.weight": Hostile()}))
    (tmp_path / "text.pth").write_text("not weights")
    (tmp_path / "cut.pth").write_bytes(published.read_bytes()[:5000])
    assert run("convert", published, *TINY, "--out", tmp_path / "ours.safetensors")[0] == 0
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    (tmp_path / "kept").write_text("an earlier file")
    status, _, line = run("convert", *arguments, "--out", "kept")
    assert (status, message in line) == (expected, True), line
    assert (tmp_path / "kept").read_text() == "an earlier file"
    assert sorted(tmp_path.iterdir()) == sorted([*before, tmp_path / "kept"])  # the hostile code left nothing, either


def test_convert_never_overwrites_its_input(run, published: Path) -> None:
    before = published.read_bytes()
    status, _, line = run("convert", published, *TINY, "--out", published)
    assert (status, f"--out {published}: the same file as PUBLISHED.pth {published}" in line) == (2, True), line
    assert published.read_bytes() == before


def test_convert_on_a_full_disk_leaves_nothing(run, published: Path, small_disk: Callable[[int], Path]) -> None:
    disk = small_disk(400)  # the file has 1.5 MB
    status, _, line = run("convert", published, *TINY, "--out", disk / "x.safetensors")
    assert (status, "No space left" in line) == (1, True), line
    assert not (disk / "x.safetensors").exists() and not part_path(disk / "x.safetensors").exists()


def test_a_published_checkpoint_must_be_converted_first(run, published: Path) -> None:
    status, _, line = run("cost", "--model", published, "--repeats", "0")
    assert (status, "orbit-lite convert" in line) == (1, True), line


def test_cost_prints_and_writes(run, tmp_path: Path) -> None:
    out = tmp_path / "cost.json"
    status, output, _ = run(
        *("cost", "--model", "protonets", "--backbone", "tiny", "--way", "2", "--support", "4", "--repeats", "1"),
        *("--device", "cpu", "--out", out),
    )
    assert status == 0
    assert output.isascii()
    assert output.startswith("protonets on tiny, 2 objects, 4 support frames of 224 px\n")
    content = json.loads(out.read_text())
    assert f"{content['macs_to_personalize']:,}" in output
    assert f"{content['macs_to_personalize_leaderboard']:,}" in output
    assert content["measured"]["personalize_s"] > 0
    assert "seconds to personalize" in output


def test_a_checkpoint_costs_as_much_as_its_learner(run, published: Path, tmp_path: Path) -> None:
    ours = tmp_path / "x.safetensors"
    assert run("convert", published, *TINY, "--out", ours)[0] == 0
    printed = [
        run("cost", *model, "--repeats", "0")[1]
        for model in (["--model", ours], ["--model", "protonets", "--backbone", "tiny"])
    ]
    assert printed[0] == printed[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "protonets"], "it needs --backbone"),
        (
            ["--model", "protonets", "--backbone", "tiny", "--way", "9", "--support", "8"],
            "a support frame for each class",
        ),
        (["--model", "protonets", "--backbone", "tiny", "--way", "0"], "expected 1 or more"),
        (["--model", "protonets", "--backbone", "tiny", "--device", "gpu"], "--device gpu"),
    ],
)
def test_cost_names_the_mistake(run, tmp_path: Path, arguments: list[str], message: str) -> None:
    status, _, line = run("cost", *arguments, "--out", tmp_path / "cost.json")
    assert (status, message in line) == (2, True), line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("verb", ["convert", "cost"])
def test_help_is_plain_text(run, verb: str) -> None:
    status, output, _ = run(verb, "--help")
    assert status == 0
    assert output.isascii()


def test_a_learner_needs_no_download_to_be_counted(run) -> None:
    """Its weights are random unless a file is given."""
    status, output, _ = run("cost", "--model", "cnaps", "--backbone", "efficientnet_b0", "--repeats", "0")
    assert (status, "set encoder" in output) == (0, True)
