import numpy as np
import pytest
from PIL import Image

from data_prep.making.images import ImageSettings, make_images

from .conftest import close, pixels


def test_one_file_per_class(source, tmp_path):
    np.save(source / "full_numpy_bitmap_the Eiffel Tower.npy", np.stack([pixels(k, (28, 28)) for k in range(2)]))
    np.save(source / "axe.npy", np.stack([pixels(k, (28, 28)) for k in range(2, 5)]).reshape(3, 784))
    np.save(source / "color.npy", pixels(7)[None])
    summary = make_images(source, tmp_path / "out", settings=ImageSettings(28, layout="npy"), workers=1)
    assert summary.videos == 6
    first = sorted((tmp_path / "out/set/axe").rglob("*.jpg"))[0]
    assert close(np.asarray(Image.open(first))[..., 0], pixels(2, (28, 28)))
    assert len([*(tmp_path / "out/set/the Eiffel Tower").rglob("*.jpg")]) == 2


def test_classes_in_the_splits_of_a_list(source, made, refused, tmp_path):
    for place, name in enumerate(("axe", "bee", "car")):
        np.save(source / f"{name}.npy", pixels(place, (32, 32))[None])
    path = tmp_path / "split.json"
    path.write_text('{"train": ["bee"], "test": ["zoo"]}')
    refused("npy", "no pictures: zoo", list_file=path)
    path.write_text('{"train": ["bee"], "test": ["axe"]}')
    assert [*made("npy", path)] == ["test/set/axe", "train/set/bee"]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 784)), "numbers of type '<f8'"),
        (np.asfortranarray(np.zeros((3, 784), np.uint8)), "by column"),
        (np.zeros((3, 783), np.uint8), "of shape (3, 783)"),
        (np.zeros((3, 0), np.uint8), "of shape (3, 0"),
        (np.zeros((3, 8, 8, 4), np.uint8), "of shape (3, 8, 8, 4)"),
        (np.zeros((), np.uint8), "of shape ()"),
        (np.array([{"a": 1}], object), "numbers of type '|O'"),
    ],
)
def test_other_arrays(source, refused, array, message):
    np.save(source / "a.npy", array)
    refused("npy", "a.npy: damaged", message)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content[:-1],
        lambda content: content + b"\0",
        lambda content: content[:20],
        lambda content: b"no npy",
        lambda content: content.replace(b"(3, 784)", b"(9, 784)"),
        lambda content: content[:8] + b"\xff\xff" + content[10:],
        lambda content: content.replace(b"(3, 784)", b"(((((((("),
        lambda content: content.replace(b"(3, 784)", b"(3 4, 7)"),
        lambda content: content.replace(b"'|u1'", b"10**9"),
    ],
)
def test_damaged_files(source, refused, change):
    np.save(source / "a.npy", np.zeros((3, 784), np.uint8))
    (source / "a.npy").write_bytes(change((source / "a.npy").read_bytes()))
    refused("npy", "a.npy: damaged")


def test_a_folder_without_files(source, refused):
    refused("npy", "no .npy files", exit_code=2)
