import numpy as np
import pytest

from benchmarks.unknown import _accuracy_at, main, means_table, study
from data_prep.tree.index import open_index
from groundwork.errors import AskedWrong
from groundwork.pages.printing import text_table
from orbit_lite.models.checkpoint import save_recognizer
from orbit_lite.models.recognizer import build_recognizer


def test_each_object_of_each_user_is_left_out_once(pocket_frames, tmp_path, capsys):
    recognizer = build_recognizer("protonets", "tiny", weights="random")
    save_recognizer(tmp_path / "model.safetensors", recognizer, config={})
    arguments = ["--model", tmp_path / "model.safetensors", "--data", pocket_frames, "--out", tmp_path / "rows.csv"]
    assert main(list(map(str, arguments))) == 0
    told = capsys.readouterr().out
    assert told.startswith("3 times an object left out")  # 1 validation user of 3 objects
    lines = (tmp_path / "rows.csv").read_text().splitlines()
    assert len(lines) == 4
    shares = np.array([[float(cell) for cell in line.split(",")] for line in lines[1:]])
    assert ((shares >= 0) & (shares <= 1)).all()
    rows = study(recognizer, open_index(pocket_frames), split="validation")
    assert text_table(means_table(rows)) in told
    assert all(row.accuracy_at <= row.accuracy and row.balanced_accuracy <= row.accuracy for row in rows)


def test_accuracy_at_so_many_false_alarms():
    known, strange = np.array([0.2, 0.9, 0.95]), np.linspace(0, 0.5, 101)
    assert _accuracy_at(np.array([True, True, False]), known, strange) == pytest.approx(1 / 3)  # 0.2 is refused


def test_a_learner_that_adapts_is_refused(pocket_frames):
    with pytest.raises(AskedWrong, match="adapts its extractor"):
        study(build_recognizer("cnaps", "tiny", weights="random"), open_index(pocket_frames), split="test")
