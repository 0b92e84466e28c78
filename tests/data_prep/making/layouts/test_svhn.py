import numpy as np
import pytest
from scipy.io import savemat

from .conftest import close, pixels

LABELS = {"train": [1, 10, 1], "test": [9]}


@pytest.fixture
def svhn(source):
    def write(*, packed=False, **changes):
        number = 0
        for split, labels in LABELS.items():
            images = np.stack([pixels(number + k) for k in range(len(labels))], axis=3)
            number += len(labels)
            content = {"X": images, "y": np.array(labels, np.uint8)[:, None]} | changes
            savemat(source / f"{split}_32x32.mat", content, do_compression=packed)
        return source

    return write


@pytest.mark.parametrize("packed", [False, True])
def test_digits_by_split(svhn, made, reported, packed):
    (svhn(packed=packed) / "extra_32x32.mat").write_bytes(b"")
    found = made("svhn")
    assert {place: len(frames) for place, frames in found.items()} == {
        "test/set/9": 1,
        "train/set/0": 1,
        "train/set/1": 2,
    }
    assert close(found["train/set/0"][0], pixels(1)) and close(found["test/set/9"][0], pixels(3))
    assert any("extra_32x32.mat: skipped" in line for line in reported())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"X": np.zeros((32, 32, 3, 2), np.uint8)},
            "X has shape (32, 32, 3, 2) and type uint8, but there are 3 labels",
        ),
        ({"X": np.zeros((32, 32, 3, 3))}, "type"),
        ({"y": [[1], [2], [11]]}, "3"),
        ({"y": [[0], [2], [1]]}, "label 0, expected 1 to 10"),
    ],
)
def test_arrays_that_do_not_fit(svhn, refused, changes, message):
    svhn(**changes)
    refused("svhn", "train_32x32.mat", message)


def test_incomplete_or_missing_files(svhn, source, refused):
    refused("svhn", "no {train,test}_32x32.mat", exit_code=2)
    path = svhn() / "train_32x32.mat"
    savemat(path, {"y": [[1]] * 3, "X": np.zeros((32, 32, 3, 3), np.uint8)})
    path.write_bytes(path.read_bytes()[:5000])
    refused("svhn", "train_32x32.mat: damaged (it ends too early)")
    path.unlink()
    refused("svhn", "no such file", exit_code=2)
