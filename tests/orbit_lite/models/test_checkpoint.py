"""Checkpoints are read back unchanged; other files are refused in one line."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from groundwork.errors import DataError, KitError, UsageError
from groundwork.files import part_path
from orbit_lite.cli.parser import main
from orbit_lite.config import builtin_names
from orbit_lite.models.checkpoint import (
    CHECKPOINT,
    FORMAT,
    HEADER,
    build_from,
    load_recognizer,
    read_checkpoint_info,
    save_recognizer,
)
from orbit_lite.models.convert import convert
from orbit_lite.models.extractor import build_extractor
from orbit_lite.models.heads.prototypes import PrototypeHead
from orbit_lite.models.learner import LearnerConfig, load_learner
from orbit_lite.models.recognizer import Recognizer, build_recognizer

Mutations = Callable[[bytes, int], Iterator[tuple[str, bytes]]]

LEARNERS = builtin_names("learner")

CONFIG: dict[str, Any] = {"name": "ünicode", "lite": {"h": 16}, "betas": [0.9, 0.98]}


def frames(count: int, size_px: int = 224) -> Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.randint(0, 256, (count, 3, size_px, size_px), dtype=torch.uint8, generator=generator)


def logits(recognizer: Recognizer, size_px: int = 224) -> Tensor:
    return recognizer.personalize(frames(4, size_px), torch.tensor([0, 1, 2, 0])).logits(frames(3, size_px))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "run" / "best.safetensors"
    save_recognizer(path, build_recognizer("protonets", "tiny", weights="random", seed=7), config=CONFIG)
    return path


def header_of(saved: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.loads(safetensors.safe_open(saved, "pt").metadata()[HEADER])["header"])
    return found


def with_header(saved: Path, **changed: Any) -> Path:
    """The saved file with other entries in its header and a matching hash."""
    CHECKPOINT.write(saved, json.dumps(header_of(saved) | changed), safetensors.torch.load_file(saved))
    return saved


def without_hash(saved: Path, **changed: Any) -> Path:
    """The saved file in the form of releases without hashes."""
    header = json.dumps(header_of(saved) | {"format": 2} | changed, sort_keys=True)
    saved.write_bytes(safetensors.torch.save(safetensors.torch.load_file(saved), {HEADER: header}))
    return saved


@pytest.mark.parametrize(
    ("learner", "backbone"), [*((name, "tiny") for name in LEARNERS), ("cnaps", "efficientnet_b0")]
)
def test_every_learner_comes_back_with_the_same_logits(tmp_path: Path, learner: str, backbone: str) -> None:
    path = tmp_path / "x.safetensors"
    recognizer = build_recognizer(learner, backbone, weights="random", seed=7, frame_size_px=32)
    save_recognizer(path, recognizer, config=CONFIG, meta={"epoch": 3})
    assert torch.equal(logits(load_recognizer(path), 32), logits(recognizer, 32))
    info = read_checkpoint_info(path)
    assert (info.learner, info.backbone, info.frame_size_px) == (load_learner(learner), backbone, 32)
    assert (info.config, info.meta) == (CONFIG, {"epoch": 3})
    assert not part_path(path).exists()


def test_the_same_recognizer_gives_the_same_bytes_in_any_process(saved: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    script = (
        "from pathlib import Path; import sys\n"
        "from orbit_lite.models.checkpoint import save_recognizer\n"
        "from orbit_lite.models.recognizer import build_recognizer\n"
        "recognizer = build_recognizer('protonets', 'tiny', weights='random', seed=7)\n"
        f"save_recognizer(Path(sys.argv[1]), recognizer, config={CONFIG!r})\n"
    )
    subprocess.run([sys.executable, "-c", script, str(other)], check=True, cwd=Path(__file__).parents[3])
    assert other.read_bytes() == saved.read_bytes()


def test_weights_go_back_into_a_recognizer_not_the_random_state(saved: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    load_recognizer(saved)
    assert torch.equal(torch.rand(2), expected)


def test_a_custom_learner_is_stored_completely(tmp_path: Path) -> None:
    """A composition without a name, and one with the name of another."""
    own = LearnerConfig(name="protonets", adapter="generator", head="mahalanobis", extractor="learned")
    save_recognizer(tmp_path / "x", build_recognizer(own, "tiny", weights="random", frame_size_px=32), config={})
    loaded = load_recognizer(tmp_path / "x")
    assert loaded.learner == own
    assert all(value.requires_grad for value in loaded.parameters())
    assert logits(loaded, 32).shape == (3, 3)


def test_names_that_agree_are_accepted_others_not(saved: Path) -> None:
    load_recognizer(saved, learner="protonets", backbone="tiny", frame_size_px=224)
    with pytest.raises(UsageError, match="expected learner cnaps, but the checkpoint has learner protonets"):
        load_recognizer(saved, learner="cnaps")
    with pytest.raises(UsageError, match="expected backbone resnet18, but the checkpoint has backbone tiny"):
        load_recognizer(saved, backbone="resnet18")
    with pytest.raises(UsageError, match="expected frame size 84, but the checkpoint has frame size 224"):
        load_recognizer(saved, frame_size_px=84)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"format": 1}, f"format 1; this release reads format {FORMAT}"),
        ({"learner": "protonets"}, "header is damaged"),
        (
            {"learner": {"head": "protoo", "extractor": "learned"}},
            "learner: head: .*this release does not know the checkpoint's learner",
        ),
        ({"learner": {"head": "proto", "extractor": "learned", "heat": 1}}, "unknown key 'heat'.*did you mean 'head'"),
        ({"learner": {"head": "proto"}}, "key 'extractor' is missing"),
        ({"learner": {"head": "logistic", "extractor": "learned"}}, "nothing can be meta-trained"),
        ({"backbone": "huge"}, "unknown backbone 'huge'"),
        ({"config": None}, "header is damaged"),
        ({"frame_size_px": "wide"}, "header is damaged"),
    ],
)
def test_a_header_that_does_not_fit_is_named(saved: Path, changed: dict[str, Any], words: str) -> None:
    path = with_header(saved, **changed)
    for read in (load_recognizer, read_checkpoint_info):
        with pytest.raises(DataError, match=words):
            read(path)


def test_keys_that_do_not_fit_are_listed(saved: Path) -> None:
    tensors = safetensors.torch.load_file(saved)
    header = json.dumps(header_of(saved))
    tensors["extractor.net.0.wieght"] = tensors.pop("extractor.net.0.weight")
    tensors["extractor.net.1.bias"] = torch.full((24,), float("inf"))
    tensors["extractor.net.1.weight"] = torch.zeros(3)
    CHECKPOINT.write(saved, header, tensors)
    with pytest.raises(DataError, match=r"1 missing \(extractor.net.0.weight\); 1 unknown .*misshapen.*infinite"):
        load_recognizer(saved)


def contents(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """A checkpoint's content: its header and its weights."""
    return vars(read_checkpoint_info(path)), load_recognizer(path).state_dict()


def test_no_altered_checkpoint_loads_with_other_content(saved: Path, mutations: Mutations) -> None:
    """300 seeded mutations, half of them in the header. Blanks at the header's end may change, because nothing reads
    them."""
    info, weights = contents(saved)
    loaded = 0
    for what, content in mutations(saved.read_bytes(), 300):
        saved.write_bytes(content)
        try:
            found_info, found = contents(saved)
        except KitError as error:
            assert str(saved) in str(error) and "\n" not in str(error)
            continue
        assert found_info == info and found.keys() == weights.keys(), what
        assert all(torch.equal(found[name], value) for name, value in weights.items()), what
        loaded += 1
    assert loaded < 10


def test_an_altered_header_is_noticed_without_reading_the_weights(saved: Path) -> None:
    """A number that passes every other check."""
    whole = saved.read_bytes()
    altered = re.sub(rb'(h\\+": )16', rb"\g<1>17", whole, count=1)  # LITE's h
    assert altered != whole
    saved.write_bytes(altered)
    with pytest.raises(DataError, match=r"damaged or altered \(its header does not match its hash\)"):
        read_checkpoint_info(saved)


def test_a_header_with_a_key_twice_is_refused(saved: Path) -> None:
    header = json.dumps(header_of(saved))[:-1] + ', "backbone": "resnet18"}'
    CHECKPOINT.write(saved, header, safetensors.torch.load_file(saved))
    with pytest.raises(DataError, match="key 'backbone' appears twice"):
        load_recognizer(saved)


def test_a_checkpoint_without_a_hash_loads_with_a_note_and_can_be_converted(
    saved: Path, tmp_path: Path, reported: Callable[[], list[str]]
) -> None:
    expected = load_recognizer(saved).state_dict()
    assert reported() == []
    old = without_hash(saved, meta={"validation_frame_accuracy": 0.75})
    for _ in range(2):
        found = load_recognizer(old).state_dict()
        assert all(torch.equal(found[name], value) for name, value in expected.items())
    (note,) = reported()
    assert note.startswith(f"note: {old}: this checkpoint has no hash")
    assert f"'orbit-lite convert {old} --out NEW.safetensors'" in note

    new = tmp_path / "new.safetensors"
    assert main(["convert", str(old), "--out", str(new)]) == 0  # as the note suggests
    reported()
    assert all(torch.equal(value, expected[name]) for name, value in load_recognizer(new).state_dict().items())
    assert reported() == []
    before, after = read_checkpoint_info(old), read_checkpoint_info(new)
    assert (before.hashed, after.hashed) == (False, True)
    assert (after.config, after.learner, after.validation_frame_accuracy) == (before.config, before.learner, 0.75)
    assert after.meta["hashed_from"]["file"] == old.name
    with pytest.raises(UsageError, match="already a checkpoint of this kit"):
        convert(new, tmp_path / "newer.safetensors")


def test_a_checkpoint_contains_the_score_that_selected_it(saved: Path) -> None:
    assert read_checkpoint_info(saved).validation_frame_accuracy is None
    assert (
        read_checkpoint_info(with_header(saved, meta={"validation_frame_accuracy": 0.5})).validation_frame_accuracy
        == 0.5
    )


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_a_truncated_checkpoint_is_one_line(saved: Path, share: float) -> None:
    saved.write_bytes(saved.read_bytes()[: int(share * saved.stat().st_size)])
    with pytest.raises(DataError, match=r"best\.safetensors") as caught:
        load_recognizer(saved)
    assert "\n" not in str(caught.value)


def test_other_files_are_refused(tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    safetensors.torch.save_file({"a": torch.ones(2)}, weights)
    picture = tmp_path / "picture.jpg"
    picture.write_bytes(b"\xff\xd8\xff\xe0 a picture of a key")
    for path in (weights, picture):
        with pytest.raises(DataError, match=path.name):
            load_recognizer(path)
    with pytest.raises(UsageError, match="no such file"):
        load_recognizer(tmp_path / "none.safetensors")
    with pytest.raises(KitError, match="folder"):
        (tmp_path / "folder").mkdir()
        load_recognizer(tmp_path / "folder")


def test_a_file_that_is_not_ours_needs_the_two_names(tmp_path: Path) -> None:
    """With these names it is a published file, see tests/orbit_lite/models/test_published.py."""
    net = build_extractor("tiny", weights="random").net
    torch.save({f"feature_extractor.{name}": value for name, value in net.state_dict().items()}, tmp_path / "x.pth")
    for names in ({}, {"learner": "protonets"}, {"backbone": "tiny"}):
        with pytest.raises(DataError, match="give its learner and backbone"):
            load_recognizer(tmp_path / "x.pth", **names)
    load_recognizer(tmp_path / "x.pth", learner="protonets", backbone="tiny")
    with pytest.raises(UsageError, match="unknown learner 'protonet'"):
        load_recognizer(tmp_path / "x.pth", learner="protonet", backbone="tiny")
    with pytest.raises(UsageError, match="unknown backbone 'tinny'"):
        load_recognizer(tmp_path / "x.pth", learner="protonets", backbone="tinny")


def test_recognizers_that_could_not_be_read_again_are_not_written(tmp_path: Path) -> None:
    tiny = build_recognizer("protonets", "tiny", weights="random")
    nameless = Recognizer(extractor=tiny.extractor, head=PrototypeHead)
    with pytest.raises(ValueError, match="without a learner's config"):
        save_recognizer(tmp_path / "x", nameless, config={})
    with pytest.raises(ValueError, match="JSON"):
        save_recognizer(tmp_path / "x", tiny, config={"lr": float("nan")})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "size", ["1e9", "1e999", "Infinity", "NaN", "1000000000", "1.5", "true", "-1", "0", "9" * 5000]
)
def test_an_impossible_frame_size_is_one_line(saved: Path, size: str) -> None:
    header = json.dumps(header_of(saved)).replace('"frame_size_px": 224', f'"frame_size_px": {size}')
    CHECKPOINT.write(saved, header, safetensors.torch.load_file(saved))
    with pytest.raises(DataError) as error:
        load_recognizer(saved)
    assert str(error.value).startswith(f"{saved}: ") and len(str(error.value)) < len(str(saved)) + 250


def test_another_learner_starts_from_a_checkpoints_extractor_and_the_same_from_all_of_it(saved: Path) -> None:
    start = load_recognizer(saved)
    again = build_from(load_learner("protonets"), "tiny", weights=saved, seed=3)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in start.state_dict().items())
    other = build_from(load_learner("cnaps"), "tiny", weights=str(saved), seed=3)
    for name, value in start.extractor.state_dict().items():
        assert torch.equal(value, other.extractor.state_dict()[name])
    with pytest.raises(UsageError, match="expected backbone resnet18, but the checkpoint has backbone tiny"):
        build_from(load_learner("protonets"), "resnet18", weights=saved)
    plain = build_from(load_learner("protonets"), "tiny", weights="random", seed=7)
    assert all(torch.equal(value, plain.state_dict()[name]) for name, value in start.state_dict().items())
