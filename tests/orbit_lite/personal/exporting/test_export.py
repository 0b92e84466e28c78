"""Export as a user sees it: every format runs outside the kit, gives the recognizer's answers, and describes itself."""

import contextlib
import io
import json
import re
import shutil
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from eval.formats.answer_text import NONE_OF_THESE
from groundwork.errors import DataError
from groundwork.files import file_sha256, part_path
from orbit_lite.cli.parser import main
from orbit_lite.forgetting.participant import plan_forget_participant
from orbit_lite.models.checkpoint import save_recognizer
from orbit_lite.models.choice import ModelChoice
from orbit_lite.models.heads.fitting import head_tensors
from orbit_lite.personal.answering.answers import Answerer
from orbit_lite.personal.decision.rejection import SURE_CONFIDENCE
from orbit_lite.personal.exporting.agreement import noise_images
from orbit_lite.personal.exporting.export import CARD_FORMAT, ExportRequest, card_texts, write_checked
from orbit_lite.personal.exporting.formats import FORMATS
from orbit_lite.personal.exporting.graph import PersonalGraph
from orbit_lite.personal.file import load_personal
from orbit_lite.personal.file_names import EXPORT_SUFFIXES
from orbit_lite.personal.teaching.personalize import personalize

ROOT = Path(__file__).parents[4]


def call(*arguments):
    """Run `orbit-lite export`; return its exit status, its output, and its last line on stderr."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            status = main(["export", *map(str, arguments)])
        except SystemExit as stop:  # argparse's own
            status = int(stop.code or 0)
    text_output = err.getvalue()
    assert "Traceback" not in text_output
    return status, out.getvalue(), text_output.strip().splitlines()[-1] if text_output.strip() else ""


@pytest.fixture(scope="module", params=[("protonets", name) for name in FORMATS] + [("ridge", "onnx")], ids="-".join)
def exported(request, noise_files, tmp_path_factory):
    """Alice's recognizer in each format: file, format, exported file, and output. Do not change it."""
    learner, name = request.param
    out = tmp_path_factory.mktemp("exported") / f"alice{FORMATS[name].suffix}"
    status, text_output, error = call(noise_files[learner], "--format", name, "--out", out)
    assert status == 0, error
    return noise_files[learner], name, out, text_output


@pytest.fixture
def copied(alice_file, tmp_path):
    return Path(shutil.copy(alice_file, tmp_path / "alice.safetensors"))


def run_onnx(path, frames):
    """Run with only onnxruntime, as another program would."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(["logits", "probabilities", "familiarity"], {"frames": frames}), dict(
        session.get_modelmeta().custom_metadata_map
    )


def run_torchscript(path, frames):
    texts = dict.fromkeys(CARD, "")
    module = torch.jit.load(path, _extra_files=texts)
    outputs = module(torch.from_numpy(frames))
    return [output.numpy() for output in outputs], {name: text.decode() for name, text in texts.items()}


def run_torch_export(path, frames):
    texts = dict.fromkeys(CARD, "")
    module = torch.export.load(path, extra_files=texts).module()
    with torch.no_grad():
        outputs = module(torch.from_numpy(frames))
    return [output.numpy() for output in outputs], texts


RUNTIMES = {"onnx": run_onnx, "torchscript": run_torchscript, "torch-export": run_torch_export}
CARD = (
    "orbit_lite_export",
    "labels",
    "threshold",
    "sure_threshold",
    "sure_confidence",
    "strictness",
    "temperature",
    "frames",
    "outputs",
    "source_sha256",
)


def answers(texts, probabilities, familiarity):
    """Each frame's answer as the metadata `outputs` explains it, computed without this kit."""
    labels, threshold, sure_threshold, sure_confidence = (
        json.loads(texts[name]) for name in ("labels", "threshold", "sure_threshold", "sure_confidence")
    )
    for shares, near in zip(probabilities, familiarity, strict=True):
        if threshold is not None and near < threshold:
            yield "none of these"
        elif sure_threshold is not None and near >= sure_threshold and shares.max() >= sure_confidence:
            yield labels[shares.argmax()]
        else:
            yield f"maybe {labels[shares.argmax()]}"


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
def test_every_format_runs_outside_the_kit_and_gives_the_same_answers(exported):
    file, name, out, text_output = exported
    assert (
        f"written: {out}" in text_output
        and "ms in this kit" in text_output
        and "This file is personal data" in text_output
    )
    personal = load_personal(file)
    for count in (1, 2, 20):  # it was traced with two
        frames = noise_images(224)[:count]
        (logits, probabilities, familiarity), texts = RUNTIMES[name](out, frames)
        own = personal.fitted.logits(torch.from_numpy(frames)).numpy()
        scores = personal.scores(torch.from_numpy(frames))
        assert np.abs(logits - own).max() < 1e-3 * own.std()
        np.testing.assert_allclose(probabilities, scores.probabilities, atol=1e-3)
        np.testing.assert_allclose(familiarity, scores.familiarity, rtol=1e-3, atol=1e-3)
    point = personal.rejection.point
    ours = [answer.text for answer in Answerer(personal.objects, point).answers(range(20), range(20), scores)]
    assert list(answers(texts, probabilities, familiarity)) == ours
    assert NONE_OF_THESE in ours and set(ours) & set(personal.objects) and any("maybe" in answer for answer in ours)
    assert json.loads(texts["labels"]) == list(personal.objects)
    assert json.loads(texts["threshold"]) == point.threshold
    assert json.loads(texts["sure_threshold"]) == point.sure_threshold
    assert json.loads(texts["sure_confidence"]) == SURE_CONFIDENCE
    assert json.loads(texts["orbit_lite_export"]) == CARD_FORMAT == 2
    assert texts["strictness"] == "balanced" and "strictness: balanced" in text_output
    assert f"threshold: {point.threshold:.4g}" in text_output
    assert texts["source_sha256"] == file_sha256(file)
    assert "(n, 3, 224, 224), uint8" in texts["frames"]


def test_an_export_is_recognized_as_its_recognizers_in_every_format(exported, tmp_path):
    """When a participant is forgotten, their exports are removed, whatever their names."""
    file, _, out, _ = exported
    shutil.copy(file, tmp_path / file.name)
    export = Path(shutil.copy(out, tmp_path / f"any name{out.suffix}"))
    plan = plan_forget_participant(load_personal(file).user, [tmp_path])
    assert f"to remove: {export}: an export of their recognizer" in str(plan).splitlines()


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
def test_probabilities_agree_with_the_metadata(exported):
    _, name, out, _ = exported
    (logits, probabilities, _), texts = RUNTIMES[name](out, noise_images(224))
    assert "0.995 softmax(logits / temperature) + 0.005 / labels" in texts["outputs"]
    scaled = torch.from_numpy(logits).double() / json.loads(texts["temperature"])
    np.testing.assert_allclose(probabilities, 0.995 * scaled.softmax(1) + 0.005 / logits.shape[1], atol=1e-4)


def test_the_documented_program_gives_the_recognizers_answers(noise_files, tmp_path, monkeypatch):
    (program,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/personalize.md").read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    assert call(noise_files["ridge"], "--out", "alice.onnx")[0] == 0
    frames, personal = noise_images(224), load_personal(noise_files["ridge"])
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(program, {"frames": frames})
    scores = personal.scores(torch.from_numpy(frames))
    answerer = Answerer(personal.objects, personal.rejection.point)
    ours = [answer.text for answer in answerer.answers(range(20), range(20), scores)]
    assert out.getvalue().splitlines() == ours and len(set(ours)) > 2


def content(path):
    """All bytes in a file; those of an archive unpacked."""
    raw = path.read_bytes()
    if not zipfile.is_zipfile(path):
        return raw
    with zipfile.ZipFile(path) as archive:
        return b"".join(archive.read(entry) for entry in archive.infolist())


def test_it_contains_no_frame_features_user_name_or_machine_name(exported):
    file, _, out, _ = exported
    held, personal = content(out), load_personal(file)
    # every four bytes as one number, because exporters may transpose a matrix
    words = np.concatenate([np.frombuffer(held[k:], np.uint32, (len(held) - k) // 4) for k in range(4)])
    (head,) = (value for value in head_tensors(personal.fitted.head).values() if value.ndim == 2)  # a row per object
    rows = torch.cat([head, personal.support.features]).numpy()
    shares = (np.isin(rows.view(np.uint32), words) & (rows != 0)).sum(1) / (rows != 0).sum(1)
    way = len(personal.objects)
    assert shares[:way].min() > 0.99  # so features would be found if they were there
    assert shares[way:].max() < 0.3
    assert personal.user.encode() not in held
    assert str(ROOT).encode() not in held and str(Path(torch.__file__).parent).encode() not in held


def test_float_input_gives_the_same_answers(copied, tmp_path):
    assert call(copied, "--input", "float", "--out", tmp_path / "f.onnx")[0] == 0
    frames = noise_images(224)[-3:]
    (logits, _, _), texts = run_onnx(tmp_path / "f.onnx", (frames / 255).astype(np.float32))
    own = load_personal(copied).fitted.logits(torch.from_numpy(frames)).numpy()
    assert np.abs(logits - own).max() < 1e-3 * own.std()
    assert "float32, 0 to 1" in texts["frames"]


def test_it_is_also_compared_on_frames_of_videos(copied, user_dir, tmp_path):
    video = sorted(user_dir.rglob("*.mp4"))[0]
    status, text_output, _ = call(copied, "--check", video, "--out", tmp_path / "a.onnx")
    assert status == 0
    noise = len(noise_images(224))
    assert (
        f"compared with the recognizer on {noise} frames" not in text_output
        and "compared with the recognizer on " in text_output
    )
    status, _, error = call(copied, "--check", tmp_path / "none.mp4")
    assert status == 2 and error == f"orbit-lite: {tmp_path / 'none.mp4'}: no such video or folder"


def test_an_adapted_network_without_a_threshold_is_exported(alice, tmp_path):
    """CNAPs: FiLM parameters are folded in, the head is of another kind, and a name is not ASCII."""
    user = tmp_path / "zoë"
    for number, thing in enumerate(sorted(alice.iterdir())[:2]):
        video = sorted((thing / "clean").iterdir())[0]
        folder = user / ("tasse à café" if number else "clés")
        folder.mkdir(parents=True)
        shutil.copy(video, folder)
    file = tmp_path / "zoe.safetensors"
    personalize(ModelChoice("cnaps", "tiny", "random"), [user], file, device=torch.device("cpu"))
    status, text_output, _ = call(file)
    assert status == 0 and "\nthreshold: null\nsure_threshold: null\nsure_confidence: 0.7\n" in text_output
    frames = noise_images(224)[:3]
    (logits, probabilities, familiarity), texts = run_onnx(tmp_path / "zoe.onnx", frames)
    own = load_personal(file).fitted.logits(torch.from_numpy(frames)).numpy()
    assert np.abs(logits - own).max() < 1e-3 * own.std()
    assert json.loads(texts["labels"]) == ["clés", "tasse à café"]
    assert json.loads(texts["threshold"]) is None and json.loads(texts["sure_threshold"]) is None
    assert texts["strictness"] == "not chosen, since no video could be held out"
    assert all(answer.startswith("maybe ") for answer in answers(texts, probabilities, familiarity))
    assert texts["learner"] == "cnaps" and texts["backbone"] == "tiny"


@pytest.mark.slow
@pytest.mark.parametrize("backbone", [pytest.param("resnet18", marks=pytest.mark.long), "efficientnet_b0"])
def test_larger_networks(alice, tmp_path, backbone):
    file = tmp_path / "alice.safetensors"
    personalize(ModelChoice("protonets_cosine", backbone, "random"), [alice], file, device=torch.device("cpu"))
    status, text_output, error = call(file)
    assert status == 0, error
    assert f"written: {tmp_path / 'alice.onnx'}" in text_output


def calibrated(personal, **changes):
    return replace(personal, calibration=replace(personal.calibration, **changes))


def other_head(personal):
    personal.fitted.head.means[0] += 1
    return PersonalGraph.of(personal)


def other_temperature(personal):
    return PersonalGraph.of(calibrated(personal, temperature=1.1 * personal.calibration.temperature))


def other_offset(personal):
    familiarity = personal.calibration.familiarity
    return PersonalGraph.of(calibrated(personal, familiarity=replace(familiarity, offset=familiarity.offset + 0.5)))


def no_number(personal):
    graph = PersonalGraph.of(personal)
    graph.answers.means.fill_(torch.nan)  # only in familiarity
    return graph


@pytest.mark.parametrize("wrong", [other_head, other_temperature, other_offset, no_number])
def test_a_file_with_other_answers_is_not_written(wrong, noise_files, tmp_path):
    """The file of another recognizer simulates a faulty exporter."""
    personal = load_personal(noise_files["protonets"])
    request = ExportRequest("torchscript")
    card = card_texts(personal, request, source_sha256="0")
    with torch.no_grad():
        graph = wrong(load_personal(noise_files["protonets"]))
    out = tmp_path / "alice.torchscript"
    out.write_text("the one before")
    content = FORMATS["torchscript"].write(graph, torch.zeros(2, 3, 224, 224, dtype=torch.uint8), card)
    with pytest.raises(DataError, match="not written, because its scores on 20 frames differ from the recognizer's"):
        write_checked(out, content, card, personal, noise_images(224), request)
    assert out.read_text() == "the one before"
    assert not part_path(out).exists()


def test_a_file_whose_metadata_is_not_read_back_is_not_written(alice_file, tmp_path):
    personal, request, out = load_personal(alice_file), ExportRequest("torchscript"), tmp_path / "alice.torchscript"
    card = card_texts(personal, request, source_sha256="0")
    graph, frames = PersonalGraph.of(personal), torch.zeros(2, 3, 224, 224, dtype=torch.uint8)
    content = FORMATS["torchscript"].write(graph, frames, card)
    with pytest.raises(DataError, match="metadata can't be read back"):
        write_checked(out, content, card | {"labels": "[]"}, personal, noise_images(224), request)
    assert list(tmp_path.iterdir()) == []


def test_the_metadata_states_the_strictness(alice_file):
    personal = load_personal(alice_file)

    def strictness(personal):
        return card_texts(personal, ExportRequest("onnx"), source_sha256="0")["strictness"]

    assert strictness(personal) == "balanced"
    assert strictness(personal.with_strictness("careful")) == "careful"
    asked = calibrated(personal, rejection=personal.rejection.asking(0.99))
    assert strictness(asked) == "at most 99 % false alarms"


@pytest.mark.parametrize(
    ("arguments", "message", "expected"),
    [
        (["none.safetensors"], "none.safetensors: no such file", 2),
        (["checkpoint.safetensors"], "not a personal recognizer", 1),
        (["cut.safetensors"], "not a complete safetensors file", 1),
        (["altered.safetensors"], "damaged or altered", 1),
        (["alice.safetensors", "--format", "tflite"], "invalid choice: 'tflite'", 2),
        (["alice.safetensors", "--input", "int"], "invalid choice: 'int'", 2),
        (["alice.safetensors", "--out", "."], ".: a folder; --out takes a file, such as alice.onnx", 2),
        (
            ["alice.safetensors", "--out", "alice.safetensors"],
            "--out alice.safetensors: the same file as FILE alice.safetensors; give another --out",
            2,
        ),
        (["alice.safetensors", "--int8"], "--int8 needs --calibrate", 2),
        (["alice.safetensors", "--calibrate", "."], "--calibrate can be used only with --int8", 2),
        (
            ["alice.safetensors", "--format", "torchscript", "--int8", "--calibrate", "."],
            "--int8 can be used only with --format onnx, not with torchscript",
            2,
        ),
        (["alice.safetensors", "--int8", "--calibrate", "away.mp4"], "away.mp4: no such video or folder", 2),
        (["alice.safetensors", "--int8", "--calibrate", "text.mp4"], "text.mp4: has no readable video", 1),
    ],
)
def test_errors_are_one_line(copied, tmp_path, monkeypatch, arguments, message, expected):
    monkeypatch.chdir(tmp_path)
    whole = copied.read_bytes()
    save_recognizer(tmp_path / "checkpoint.safetensors", ModelChoice("protonets", "tiny").load(), config={})
    (tmp_path / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "altered.safetensors").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    (tmp_path / "text.mp4").write_text("no video")
    before = sorted(tmp_path.iterdir())
    status, _, error = call(*arguments)
    assert (status, message in error) == (expected, True), error
    assert sorted(tmp_path.iterdir()) == before
    assert copied.read_bytes() == whole


@pytest.mark.parametrize("missing", ["onnx", "onnxscript", "onnxruntime"])
def test_without_the_extra_the_message_says_what_to_install(copied, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    status, _, error = call(copied)
    assert status == 2
    assert error == f"orbit-lite: --format onnx: {missing} is not installed; pip install 'orbit-lite[export]'"


def test_a_missing_torchscript_is_reported(copied, monkeypatch):
    monkeypatch.delattr(torch.jit, "trace")  # deprecated, so a later PyTorch may not have it
    status, _, error = call(copied, "--format", "torchscript")
    assert status == 2 and error.endswith("use --format torch-export")


def test_a_full_disk_leaves_nothing(copied, small_disk):
    disk = small_disk(400)  # the file has 1.6 MB
    status, _, error = call(copied, "--out", disk / "alice.onnx")
    assert status == 1 and "No space left" in error and str(disk / "alice.onnx") in error
    assert list(disk.iterdir()) == []


def test_the_command_line_lists_the_formats_of_the_table():
    assert tuple(FORMATS) == tuple(EXPORT_SUFFIXES)
