"""8-bit ONNX: smaller, nearly the same answers, the head in float; scaled by the user's own frames."""

import contextlib
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from orbit_lite.cli.parser import main
from orbit_lite.personal.exporting.export_frames import video_images
from orbit_lite.personal.file import load_personal


def call(*arguments):
    """Run `orbit-lite export`; give its exit status, what it printed, and its last line on stderr."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        status = main(["export", *map(str, arguments)])
    return status, out.getvalue(), err.getvalue().strip().splitlines()[-1]


@pytest.fixture(scope="module")
def small(alice_file, alice, tmp_path_factory):
    """The 8-bit file of alice's recogniser, scaled by her own videos, and what was printed. Not to be changed."""
    file = Path(shutil.copy(alice_file, tmp_path_factory.mktemp("int8")))
    status, said, error = call(file, "--int8", "--calibrate", alice)
    assert status == 0, error
    return file.with_suffix(".int8.onnx"), said


def test_it_answers_nearly_as_the_recogniser_and_says_on_how_many_frames(small, alice_file, alice):
    import onnxruntime

    path, said = small
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    images, notes = video_images([alice], size_px=224, most=1000)
    assert notes == []
    logits, _, familiarity = session.run(None, {"frames": images})
    personal = load_personal(alice_file)
    own = personal.fitted.logits(torch.from_numpy(images)).numpy()
    difference = np.sqrt(np.square(logits - own).mean()) / own.std()
    assert 1e-4 < difference < 0.1  # 8 bits lose something, not much
    np.testing.assert_allclose(familiarity, personal.scores(torch.from_numpy(images)).familiarity, atol=0.02)
    alone = np.concatenate([session.run(["logits"], {"frames": images[k : k + 1]})[0] for k in range(3)])
    assert np.abs(alone - logits[:3]).max() < 0.1 * logits.std()  # rounding may move a value to the next of 256
    scaling = -(-len(images) // 2)
    assert f"8 bits, scaled by {scaling} frames; on {len(images) - scaling} others the same answer" in said


def test_the_network_is_in_8_bits_and_the_head_in_float(small, alice_file):
    import onnx

    path, _ = small
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    held = {value.name: onnx.numpy_helper.to_array(value) for value in model.graph.initializer}
    network = sum(value.numel() for value in load_personal(alice_file).fitted.recognizer.extractor.net.parameters())
    assert sum(value.size for value in held.values() if value.dtype == np.int8) > 0.98 * network
    means = load_personal(alice_file).fitted.head.means.numpy()
    assert any(value.shape == means.T.shape and np.allclose(value, means.T) for value in held.values())
    assert path.stat().st_size < 0.35 * alice_file.stat().st_size
    texts = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(texts["labels"]) == list(load_personal(alice_file).objects)
    assert texts["network"].startswith("8 bits, scaled by ")


def test_videos_that_can_not_be_read_are_left_out_and_said(alice_file, user_dir, tmp_path, capsys):
    videos = sorted(user_dir.rglob("*.mp4"))[:2]
    videos[0].write_bytes(videos[0].read_bytes()[:300])
    asked = ("--out", tmp_path / "a.onnx", "--input", "float", "--int8", "--calibrate", *videos)
    assert main(["export", *map(str, [alice_file, *asked])]) == 0
    shown = capsys.readouterr()
    assert f"left out, can't be read: {videos[0]}" in shown.err and str(videos[0]) not in shown.out
    assert (tmp_path / "a.onnx").is_file()
