"""8-bit ONNX: smaller, nearly the same answers, the head in float; scaled by the user's own frames."""

import contextlib
import io
import json
import re
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
import torch

from orbit_lite.cli.parser import main
from orbit_lite.models.heads.fitting import LinearClassifier, head_tensors
from orbit_lite.personal.decision.calibration import UNCALIBRATED
from orbit_lite.personal.exporting.agreement import video_images
from orbit_lite.personal.exporting.graph import UINT8, AnswerGraph, FeatureGraph, PersonalGraph
from orbit_lite.personal.exporting.quantize import quantized_model
from orbit_lite.personal.file import load_personal, save_personal


def call(*arguments):
    """Run `orbit-lite export`; return its exit status, its output, and its last line on stderr."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        status = main(["export", *map(str, arguments)])
    return status, out.getvalue(), err.getvalue().strip().splitlines()[-1]


@pytest.fixture(scope="module")
def seen(alice):
    """The frames by which the 8-bit values are scaled and judged, one after the other in turn."""
    images, notes = video_images([alice], size_px=224, most=1000)
    assert notes == []
    return images


@pytest.fixture(scope="module", params=["protonets", "ridge"])
def small(request, learned_files, make_answering, alice, seen, tmp_path_factory):
    """A recognizer of alice's that gives her frames every kind of answer, its 8-bit file, scaled with her own videos,
    and the output. Do not change it."""
    file = tmp_path_factory.mktemp("int8") / "alice.safetensors"
    save_personal(file, make_answering(load_personal(learned_files[request.param]), seen))
    status, output, error = call(file, "--int8", "--calibrate", alice)
    assert status == 0, error
    return file, file.with_suffix(".int8.onnx"), output


def test_it_answers_almost_like_the_recognizer_and_reports_the_number_of_frames(small, seen):
    file, path, output = small
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    logits, probabilities, familiarity = session.run(None, {"frames": seen})
    personal = load_personal(file)
    own = personal.fitted.logits(torch.from_numpy(seen)).numpy()
    scores = personal.scores(torch.from_numpy(seen))
    difference = np.sqrt(np.square(logits - own).mean()) / own.std()
    assert 1e-4 < difference < 0.1  # 8 bits lose a little
    assert np.abs(probabilities - scores.probabilities).max() < 0.2
    assert np.abs(familiarity - scores.familiarity).max() < 0.5  # of the variation of the held-out frames
    alone = np.concatenate([session.run(["logits"], {"frames": seen[k : k + 1]})[0] for k in range(3)])
    assert np.abs(alone - logits[:3]).max() < 0.1 * logits.std()  # rounding may move a value to the next of 256 steps
    scaling = -(-len(seen) // 2)
    assert f"8 bits, scaled by {scaling} frames; on {len(seen) - scaling} other frames, the same answer" in output
    assert "familiarity within" in output and "threshold: " in output
    assert "agreement on new ones may be lower" in output


def test_it_is_compared_only_on_the_given_videos(learned_files, alice, tmp_path):
    videos = sorted(alice.glob("*/clutter/*.mp4"))
    asked = ("--int8", "--calibrate", alice, "--check", *videos, "--out", tmp_path / "a.onnx")
    status, output, error = call(learned_files["ridge"], *asked)
    assert status == 0, error
    images, _ = video_images(videos, size_px=224, most=1000)
    assert f"; on {len(images)} frames of --check, the same answer as the recognizer for " in output
    assert "agreement on new ones may be lower" not in output


def test_values_that_relu6_cuts_off_cost_no_precision():
    """A convolution with values up to 80, as those of EfficientNet-Lite0 go far beyond 6."""
    convolution = torch.nn.Conv2d(3, 3, 1, bias=False)
    scales = torch.tensor([40.0, 23.0, 9.0])  # one for each output channel, so the weights have no error in 8 bits
    convolution.weight.data = scales.diag()[:, :, None, None]
    net = torch.nn.Sequential(convolution, torch.nn.ReLU6(), torch.nn.Flatten())
    extractor = SimpleNamespace(net=net, mean=torch.full((3, 1, 1), 128.0), std=torch.full((3, 1, 1), 64.0))
    features = FeatureGraph(extractor, None, takes=UINT8, channels_last=False).eval()
    frames = np.random.default_rng(0).integers(128, 138, (8, 3, 8, 8), dtype=np.uint8)
    frames[:, :, 0, 0], frames[:, :, 0, 1] = 0, 255
    rows = torch.eye(3 * 8 * 8)  # logits that are the features
    answers = AnswerGraph(LinearClassifier(rows, torch.zeros(len(rows))), rows, UNCALIBRATED)
    graph = PersonalGraph(features, answers).eval()
    model = quantized_model(graph, torch.zeros(2, 3, 8, 8, dtype=torch.uint8), frames, frames)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(["logits"], {"frames": frames})
    with torch.no_grad():
        own = features(torch.from_numpy(frames)).numpy()
    assert own.max() == 6
    assert np.abs(found - own).max() < 0.1  # one of 256 steps from -80 to 80 is 0.6


def test_the_share_of_equal_answers_considers_none_of_these_and_maybe(small, seen):
    file, path, output = small
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    others = seen[1::2]
    _, probabilities, familiarity = session.run(None, {"frames": others})
    personal = load_personal(file)
    point, scores = personal.rejection.point, personal.scores(torch.from_numpy(others))

    def answers(near, shares):
        kinds = [point.kind(*frame) for frame in zip(near, shares.max(axis=1), strict=True)]
        return [(kind, kind != "none" and label) for kind, label in zip(kinds, shares.argmax(axis=1), strict=True)]

    ours, theirs = answers(scores.familiarity, scores.probabilities), answers(familiarity, probabilities)
    assert len({kind for kind, _ in ours}) == 3
    same = np.mean([one == other for one, other in zip(ours, theirs, strict=True)])
    (printed,) = re.findall(r"the same answer as the recognizer for ([\d.]+) %", output)
    assert float(printed) / 100 == pytest.approx(
        same, abs=1.01 / len(others)
    )  # rounding may move one across a threshold
    assert same > 0.7


def test_the_network_is_in_8_bits_and_the_head_in_float(small):
    import onnx

    file, path, _ = small
    model, personal = onnx.load(path), load_personal(file)
    onnx.checker.check_model(model, full_check=True)
    held = {value.name: onnx.numpy_helper.to_array(value) for value in model.graph.initializer}
    network = sum(value.numel() for value in personal.fitted.recognizer.extractor.net.parameters())
    assert sum(value.size for value in held.values() if value.dtype == np.int8) > 0.98 * network
    (head,) = (value.numpy() for value in head_tensors(personal.fitted.head).values() if value.ndim == 2)
    assert any(
        value.shape == turned.shape and np.array_equal(value, turned)
        for value in held.values()
        for turned in (head, head.T)
    )
    assert path.stat().st_size < 0.35 * file.stat().st_size
    texts = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(texts["labels"]) == list(personal.objects)
    assert texts["network"].startswith("8 bits, scaled by ")


def test_unreadable_videos_are_left_out_and_reported(alice_file, user_dir, tmp_path, capsys):
    videos = sorted(user_dir.rglob("*.mp4"))[:2]
    videos[0].write_bytes(videos[0].read_bytes()[:300])
    asked = ("--out", tmp_path / "a.onnx", "--input", "float", "--int8", "--calibrate", *videos)
    assert main(["export", *map(str, [alice_file, *asked])]) == 0
    shown = capsys.readouterr()
    assert f"left out, can't be read: {videos[0]}" in shown.err and str(videos[0]) not in shown.out
    assert (tmp_path / "a.onnx").is_file()
