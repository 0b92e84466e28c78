import gzip

import numpy as np
import pytest
from PIL import Image

from data_prep.making.images import ImageSettings, make_images

from .conftest import close, pixels

SIDE = 28


def idx(content, magic=None):
    sizes = b"".join(size.to_bytes(4, "big") for size in content.shape)
    return (magic or bytes([0, 0, 8, content.ndim])) + sizes + content.tobytes()


@pytest.fixture
def mnist(source):
    """Three pictures of train and two of test, compressed as requested."""

    def write(*, folder="", packed=False, variant=""):
        number = 0
        for part, labels in (("train", [5, 0, 5]), ("t10k" if not variant else "test", [7, 0])):
            images = np.stack([pixels(number + k, (SIDE, SIDE)) for k in range(len(labels))])
            number += len(labels)
            for name, content in (("images-idx3", images), ("labels-idx1", np.array(labels, np.uint8))):
                path = source / folder / f"{variant}{part}-{name}-ubyte{'.gz' * packed}"
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(gzip.compress(idx(content)) if packed else idx(content))
        return source

    return write


@pytest.mark.parametrize("how", [{}, {"packed": True}, {"folder": "raw"}, {"folder": "raw", "packed": True}])
def test_digits_by_split_and_number(mnist, made, how):
    mnist(**how)
    found = made("idx")
    assert {place: len(frames) for place, frames in found.items()} == {
        "test/set/0": 1,
        "test/set/7": 1,
        "train/set/0": 1,
        "train/set/5": 2,
    }


@pytest.mark.parametrize(("variant", "axes"), [("", (0, 1)), ("emnist-balanced-", (1, 0))])
def test_frames_show_the_pictures_and_emnist_is_transposed(mnist, tmp_path, variant, axes):
    make_images(mnist(variant=variant), tmp_path / "out", settings=ImageSettings(SIDE, layout="idx"), workers=1)
    (path,) = (tmp_path / "out/test/set/7").rglob("*.jpg")
    assert close(np.asarray(Image.open(path))[..., 0], pixels(3, (SIDE, SIDE)).transpose(axes))


def spoil(path, change):
    path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: b[:-1], "its header states"),
        (lambda b: b + b"\0", "its header states"),
        (lambda b: b[:10], "ends too early"),
        (lambda b: b"", "ends too early"),
        (lambda b: b"\0\0\x0d\x03" + b[4:], "begins with 00000d03"),
        (lambda b: b[:4] + b"\xff" * 12 + b[16:], "pictures of 4294967295 x 4294967295 pixels"),
        (lambda b: b[:4] + b"\0\0\0\2" + b[8:], "2 pictures but 3 labels"),
        (lambda b: b[:8] + bytes(8) + b[16:], "is empty"),
    ],
)
def test_damaged_pictures(mnist, refused, change, message):
    spoil(mnist() / "train-images-idx3-ubyte", change)
    refused("idx", "train-images-idx3-ubyte", message)


def test_damaged_labels(mnist, source, refused):
    path = mnist() / "train-labels-idx1-ubyte"
    spoil(path, lambda content: content + b"\1")
    refused("idx", "train-labels-idx1-ubyte", "more than the 3 labels")
    path.unlink()
    refused("idx", "no labels next to it")


def test_damaged_compression(mnist, source, refused):
    path = mnist(packed=True) / "train-images-idx3-ubyte.gz"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused("idx", path.name, "damaged")
    path.write_bytes(b"no gzip")
    refused("idx", path.name, "damaged")
    bomb = b"\0\0\x08\x03" + b"\0\xff\xff\xff" + (100).to_bytes(4, "big") * 2
    path.write_bytes(gzip.compress(bomb))
    refused("idx", path.name, "expected at most")


def test_the_files_must_be_of_one_data_set(mnist, source, refused):
    refused("idx", "no idx files", exit_code=2)
    mnist()
    mnist(variant="emnist-letters-")
    refused("idx", "files of several data sets", exit_code=2)
