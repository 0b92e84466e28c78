from pathlib import Path

import cv2
import numpy as np
import pytest

from data_prep.making.images import ImageSettings, make_images
from data_prep.making.near_copies import near_copies, thumbnail
from data_prep.making.picture_folders import PictureFile


def scene(seed, size_px=120):
    """Blurred noise, with areas and edges like a photo."""
    noise = np.random.default_rng(seed).integers(60, 200, (12, 12, 1)).repeat(3, axis=2).astype(np.uint8)
    return cv2.resize(noise, (size_px, size_px), interpolation=cv2.INTER_CUBIC)


def saved_again(picture, *, quality=50, size_px=60):
    small = cv2.resize(picture, (size_px, size_px), interpolation=cv2.INTER_AREA)
    return cv2.imdecode(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)


def found(pictures, things=None):
    things = things or ["mug"] * len(pictures)
    files = [PictureFile("", "ann", thing, "clean", f"{n}.jpg", Path(f"{n}.jpg")) for n, thing in enumerate(things)]
    pairs = near_copies({file: thumbnail(picture) for file, picture in zip(files, pictures, strict=True)})
    return [(one.relative[0], other.relative[0]) for one, other in pairs]


def test_a_picture_saved_again_is_found_even_with_others_between():
    first, second = scene(1), scene(2)
    assert found([first, second, saved_again(first), saved_again(second), saved_again(first, quality=30)]) == [
        ("2", "0"),
        ("3", "1"),
        ("4", "0"),
    ]


def test_other_pictures_are_not_near_copies():
    assert found([scene(seed) for seed in range(60)]) == []
    shifted = np.roll(scene(1), 12, axis=1)
    assert found([scene(1), shifted]) == []


def test_only_pictures_of_one_object_are_compared():
    assert found([scene(1), saved_again(scene(1))], ["mug", "cup"]) == []


@pytest.mark.parametrize("burst", [1, 2])
def test_prep_images_names_near_copies_if_each_picture_is_a_video(tmp_path, reported, burst):
    folder = tmp_path / "src" / "mug"
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / "a.png"), scene(1))
    cv2.imwrite(str(folder / "b.jpg"), saved_again(scene(1)))
    cv2.imwrite(str(folder / "c.png"), scene(3))
    make_images(tmp_path / "src", tmp_path / "out", settings=ImageSettings(size_px=32, burst=burst), workers=1)
    notes = [line for line in reported() if "nearly the same" in line]
    assert len(notes) == (burst == 1)
    assert all("1 picture nearly the same" in note and "mug/b.jpg (like mug/a.png)" in note for note in notes)
