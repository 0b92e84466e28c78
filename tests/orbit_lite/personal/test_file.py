"""Personal files: they are read back as written; truncated, altered or other files are refused in one line."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

from groundwork.errors import DataError, KitError, UsageError
from groundwork.files import part_path
from orbit_lite.config import builtin_names
from orbit_lite.models.checkpoint import load_recognizer, save_recognizer
from orbit_lite.models.heads.fitting import head_tensors
from orbit_lite.models.learner import LearnerConfig, load_learner
from orbit_lite.models.recognizer import build_recognizer
from orbit_lite.personal.file import FEATURES, HEADER, PERSONAL, load_personal, save_personal
from orbit_lite.personal.recognizer import TaughtVideo
from orbit_lite.personal.teaching.material import UserVideos
from orbit_lite.personal.teaching.teach import teach

SIZE_PX = 32
LEARNERS = [load_learner(name) for name in builtin_names("learner")]
LEARNERS.append(LearnerConfig(name="logistic", head="logistic", extractor="frozen"))
LEARNERS.append(LearnerConfig(name="cosine of 7", head="cosine", head_settings={"scale": 7}, extractor="frozen"))


def frames(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, SIZE_PX, SIZE_PX), dtype=torch.uint8, generator=generator)


def taught(learner, backbone="tiny"):
    recognizer = build_recognizer(learner, backbone, weights="random", seed=2, frame_size_px=SIZE_PX)
    names = ["kéys", "kéys", "mug", "mug"]
    videos = tuple(TaughtVideo(name, 60, (1, 31), f"{k}", ("blurred",)) for k, name in enumerate(names))
    images = [frames(2, seed=k) for k in range(4)]
    tensors = images if not recognizer.shares_features else [recognizer.embed(each) for each in images]
    user_videos = UserVideos("alice", videos, tuple(tensors), (), (), 0)
    return teach(recognizer, user_videos, origin={"model": {"checkpoint": "x"}, "versions": {"torch": "2"}})


@pytest.fixture
def saved(tmp_path) -> Path:
    save_personal(tmp_path / "alice.safetensors", taught("protonets"))
    return tmp_path / "alice.safetensors"


@pytest.mark.parametrize("learner", LEARNERS, ids=lambda learner: learner.name)
def test_every_learner_is_read_back_with_the_same_scores(learner, tmp_path):
    personal = taught(learner)
    save_personal(tmp_path / "a", personal)
    back = load_personal(tmp_path / "a")
    assert (back.user, back.objects, back.calibration, back.origin) == (
        personal.user,
        personal.objects,
        personal.calibration,
        personal.origin,
    )
    assert back.support.videos == personal.support.videos
    ours, theirs = personal.scores(frames(3, seed=9)), back.scores(frames(3, seed=9))
    assert (ours.probabilities == theirs.probabilities).all() and (ours.familiarity == theirs.familiarity).all()
    save_personal(tmp_path / "b", back)
    assert (tmp_path / "b").read_bytes() == (tmp_path / "a").read_bytes()


def test_the_same_recognizer_gives_the_same_bytes_in_any_process(saved, tmp_path):
    script = (
        "from pathlib import Path; import sys\n"
        "from orbit_lite.personal.file import load_personal, save_personal\n"
        "save_personal(Path(sys.argv[2]), load_personal(sys.argv[1]))\n"
    )
    again = tmp_path / "again"
    subprocess.run([sys.executable, "-c", script, saved, again], check=True, cwd=Path(__file__).parents[3])
    assert again.read_bytes() == saved.read_bytes()


def test_a_truncated_file_is_refused(saved):
    content = saved.read_bytes()
    for length in (0, 3, 8, 100, len(content) // 2, len(content) - 1):
        saved.write_bytes(content[:length])
        with pytest.raises(DataError, match=r"alice\.safetensors"):
            load_personal(saved)


def test_no_altered_file_loads_with_other_content(saved, mutations, tmp_path):
    """300 seeded mutations, half of them in the header. Blanks at the header's end may change, because they are
    ignored."""
    whole, again, loaded = saved.read_bytes(), tmp_path / "again", 0
    for what, content in mutations(whole, 300):
        saved.write_bytes(content)
        try:
            found = load_personal(saved)
        except KitError as error:
            assert str(saved) in str(error) and "\n" not in str(error)
            continue
        save_personal(again, found)
        assert again.read_bytes() == whole, what
        loaded += 1
    assert loaded < 10


def test_an_old_file_without_a_header_hash_is_verified(saved):
    """Its hash over header and tensors is still checked."""
    tensors, whole = (
        safetensors.torch.load_file(saved),
        json.loads(safetensors.safe_open(saved, "pt").metadata()[HEADER]),
    )
    for header, damaged in ((whole["header"], False), (whole["header"].replace("alice", "alicf"), True)):
        old = {"header": header, "sha256": whole["sha256"]}
        saved.write_bytes(safetensors.torch.save(tensors, {HEADER: json.dumps(old)}))
        if damaged:
            with pytest.raises(DataError, match="damaged or altered"):
                load_personal(saved)
        else:
            assert load_personal(saved).user == "alice"


def rewritten(path, *, tensors=None, **changed):
    """The file with other header entries or tensors, and a matching hash."""
    values = safetensors.torch.load_file(path) | (tensors or {})
    values = {name: value for name, value in values.items() if value is not None}
    whole = json.loads(safetensors.safe_open(path, "pt").metadata()[HEADER])
    header = json.loads(whole["header"]) | changed
    header = json.dumps({key: value for key, value in header.items() if value is not None})
    PERSONAL.write(path, header, values)
    return path


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"format": 99}, "personal file of format 99; this release reads formats 1 to 3"),
        ({"backbone": "nonesuch"}, "unknown backbone 'nonesuch'"),
        ({"learner": {"head": "nonesuch", "extractor": "frozen"}}, "learner.head: unknown head 'nonesuch'"),
        ({"head": {"scale": 32.0}}, "head proto: settings ['scale'], expected []"),
        ({"learner": {"head": "cosine", "extractor": "frozen"}}, "head cosine: settings [], expected ['scale']"),
        (
            {"learner": {"head": "cosine", "extractor": "frozen"}, "head": {"scale": "high"}},
            "head cosine: Input should be a valid number",
        ),
        ({"videos": []}, "videos"),
        (
            {"videos": [{"object": "b", "length": 1, "frames": [1], "digest": ""}] * 8},
            "head.means: (2, 256), expected (1, 256)",
        ),
        ({"calibration": {"temperature": "high"}}, "calibration.temperature"),
        ({"calibration": {"temperature": float("nan")}}, "calibration.temperature: Input should be a finite number"),
        ({"calibration": {"rejection": {"strictness": "wild"}}}, "calibration.rejection.strictness"),
        ({"calibration": {"rejection": {"curve": [{"aim": 0.1}]}}}, "calibration.rejection.curve.0.threshold"),
        ({"user": 7}, "user"),
        ({"frame_size_px": 0}, "frame_size_px"),
        ({"more": 1}, "more"),
    ],
)
def test_an_unknown_header_is_refused(saved, changed, message):
    with pytest.raises(DataError) as error:
        load_personal(rewritten(saved, **changed))
    assert message in str(error.value) and str(saved) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"head.means": torch.zeros(3, 256)}, "head.means: (3, 256), expected (2, 256)"),
        ({"head.means": None}, "head.means: missing"),
        ({"head.means": torch.full((2, 256), torch.nan)}, "head.means: NaN or infinite"),
        ({FEATURES: torch.zeros(7, 256)}, "features: (7, 256), expected (8, 256)"),
        ({"film.x": torch.zeros(1)}, "film.x: (1,), expected no such tensor"),
        ({"recognizer.extractor.net.x": torch.zeros(1)}, "1 unknown"),
        ({"other": torch.zeros(1)}, "other"),
    ],
)
def test_inconsistent_tensors_are_refused(saved, tensors, message):
    with pytest.raises(DataError) as error:
        load_personal(rewritten(saved, tensors=tensors))
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("learner", ["protonets", "protonets_cosine", "finetuner_film"])
def test_a_file_of_format_1_is_read(learner, tmp_path):
    """Format 1, of release 0.1.0: no `head` in its header, no `head_settings` in its learner."""
    personal = taught(learner)
    save_personal(tmp_path / "a", personal)
    header = json.loads(json.loads(safetensors.safe_open(tmp_path / "a", "pt").metadata()[HEADER])["header"])
    del header["learner"]["head_settings"]
    threshold = {"value": 0.5, "false_alarms": 0.1, "misses": 0.2, "auroc": 0.7, "frames": 8, "asked": None}
    kept = {"calibration": None, "threshold": threshold}
    old = rewritten(tmp_path / "a", format=1, head=None, learner=header["learner"], **kept)
    assert '"head"' not in json.loads(safetensors.safe_open(old, "pt").metadata()[HEADER])["header"].split("learner")[0]
    ours, theirs = personal.scores(frames(3, seed=9)), load_personal(old).scores(frames(3, seed=9))
    assert (ours.probabilities == theirs.probabilities).all()


@pytest.mark.parametrize("learner", ["protonets", "ridge", "finetuner_film"])
def test_a_file_of_format_2_is_calibrated_from_its_features(learner, tmp_path):
    """Format 2 has a threshold set on videos of the same place, and no temperature."""
    personal = taught(learner)
    assert personal.rejection.curve
    save_personal(tmp_path / "a", personal)
    threshold = {"value": 0.5, "false_alarms": 0.1, "misses": 0.2, "auroc": 0.7, "frames": 8, "asked": None}
    old = load_personal(rewritten(tmp_path / "a", format=2, calibration=None, threshold=threshold))
    assert old.calibration == personal.calibration


def test_checkpoints_and_personal_files_are_distinguished(saved, tmp_path):
    checkpoint = tmp_path / "best.safetensors"
    save_recognizer(checkpoint, build_recognizer("protonets", "tiny", weights="random"), config={})
    with pytest.raises(DataError, match="not a personal recognizer; make one with 'orbit-lite personalize'"):
        load_personal(checkpoint)
    with pytest.raises(DataError, match="one user's personal recognizer; expected a checkpoint"):
        load_recognizer(saved)
    with pytest.raises(UsageError, match="no such file"):
        load_personal(tmp_path / "nothing")


def test_the_old_file_survives_a_failure(saved, monkeypatch):
    before = saved.read_bytes()
    monkeypatch.setattr("os.fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        save_personal(saved, dataclasses.replace(taught("protonets"), user="bob"))
    assert saved.read_bytes() == before and not part_path(saved).exists()


def test_it_contains_no_pictures_and_no_file_names(saved):
    """Features and class means are personal enough; the file contains nothing that can be viewed."""
    names = set(safetensors.torch.load_file(saved))
    assert {name.split(".")[0] for name in names} == {"recognizer", "head", FEATURES}
    assert head_tensors(load_personal(saved).fitted.head).keys() == {"means"}


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool, torch.float64, torch.complex64])
def test_tensors_of_another_type_are_refused(saved, dtype):
    values = safetensors.torch.load_file(saved)
    for name in [name for name in values if not name.startswith("recognizer.")]:
        changed = rewritten(saved, tensors={name: values[name].to(dtype)})
        with pytest.raises(DataError, match=rf"{name}: values of type {dtype}, expected torch.float32"):
            load_personal(changed)
        rewritten(saved, tensors={name: values[name]})
