"""Small data sets in published layouts; each picture is different noise, so none is a copy of another."""

import numpy as np
import pytest
from PIL import Image

from data_prep.making.images import ImageSettings, make_images
from data_prep.tree.index import open_index
from groundwork.errors import KitError

SIZE_PX = 32


def pixels(number, shape=(32, 32, 3)):
    """Coarse noise, uint8, in blocks of 4 pixels, so that it survives JPEG."""
    height, width, *color = shape
    coarse = np.random.default_rng(number).integers(0, 256, (height // 4, width // 4, *color), dtype=np.uint8)
    return coarse.repeat(4, axis=0).repeat(4, axis=1)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "set"
    path.mkdir()
    return path


@pytest.fixture
def put(source):
    """Saves a picture at each place below SRC."""

    def save(*places):
        for number, place in enumerate(places):
            path = source / place
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels(number)).save(path)
        return source

    return save


@pytest.fixture
def made(source, tmp_path):
    """Makes the tree; gives each image's `split/user/class`, in order, and the frames of each such place."""

    def make(layout, list_file=None, **settings):
        settings = ImageSettings(SIZE_PX, layout=layout, list_file=list_file, **settings)
        make_images(source, tmp_path / "out", settings=settings, workers=1)
        found: dict[str, list[np.ndarray]] = {}
        for row in open_index(tmp_path / "out").rows:
            place = "/".join(filter(None, (row.split, row.user, row.object)))
            folder = tmp_path / "out" / place / row.video_type / row.video
            found.setdefault(place, []).extend(np.asarray(Image.open(path)) for path in sorted(folder.iterdir()))
        return found

    return make


@pytest.fixture
def refused(source, tmp_path):
    """Checks that `make_images` raises a one-line error with the given words, and writes nothing."""

    def refuse(layout, *expected, list_file=None, exit_code=1, **settings):
        settings = ImageSettings(SIZE_PX, layout=layout, list_file=list_file, **settings)
        with pytest.raises(KitError) as error:
            make_images(source, tmp_path / "out", settings=settings, workers=1)
        message = str(error.value)
        assert error.value.exit_code == exit_code, message
        assert "\n" not in message
        for words in expected:
            assert words in message, message
        assert not (tmp_path / "out").exists()

    return refuse


def close(found, expected):
    """Whether a frame equals a picture, except for JPEG's color errors; other pictures differ by about 85 levels."""
    return np.abs(found.astype(int) - expected.astype(int)).mean() < 40
