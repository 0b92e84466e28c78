"""A photo file of any format becomes one upright 8-bit RGB picture, or gives a one-line error."""

import io
import warnings

import numpy as np
import pytest
from PIL import Image

from data_prep.video.frames import count_frames, iterate_frames, read_frames
from data_prep.video.photos import MOST_PIXELS, read_photo
from data_prep.video.probing import probe
from groundwork.errors import DataError, UsageError

GREEN, RED = (10, 220, 30), (200, 0, 0)


@pytest.fixture
def picture():
    """A picture of 80 x 60, red, with green at the top left."""
    pixels = np.full((60, 80, 3), RED, np.uint8)
    pixels[:20, :20] = GREEN
    return Image.fromarray(pixels)


@pytest.fixture
def save(tmp_path):
    def write(image, name="photo.png", **how):
        image.save(tmp_path / name, **how)
        return tmp_path / name

    return write


def near(found, wanted, by=3):
    return np.abs(np.asarray(found, int) - np.asarray(wanted, int)).max() <= by


@pytest.mark.parametrize("name", ["a.jpg", "a.JPEG", "a.png", "a.webp", "a.gif", "a.bmp", "png in disguise.jpg"])
def test_every_format_gives_its_pixels(save, picture, name):
    how = {"format": "PNG"} if "disguise" in name else {"quality": 95} if "jp" in name.lower() else {}
    photo = read_photo(save(picture, name, **how))
    assert photo.picture.shape == (60, 80, 3) and photo.picture.dtype == np.uint8
    assert near(photo.picture[5, 5], GREEN, 12) and near(photo.picture[-5, -5], RED, 12)
    assert not photo.is_first_of_several


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_is_rotated_as_its_metadata_says(save, picture, suffix, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo = read_photo(save(picture, f"a.{suffix}", exif=exif, quality=95))
    # EXIF 2.32, 4.6.4: the sides of the scene that are the stored first row and column
    corner = ["top left", "top right", "bottom right", "bottom left", "top left", "top right", "bottom right"]
    corner = [*corner, "bottom left"][orientation - 1]
    green = photo.picture[5 if "top" in corner else -5, 5 if "left" in corner else -5]
    assert photo.picture.shape[:2] == ((60, 80) if orientation < 5 else (80, 60))
    assert near(green, GREEN, 12)


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK"])
def test_every_mode_becomes_rgb(save, picture, mode):
    path = save(picture.convert(mode), "a.jpg" if mode == "CMYK" else "a.png")
    assert near(read_photo(path).picture, picture.convert(mode).convert("RGB"), 20)


def test_16_bits_are_scaled_and_not_cut_off(save):
    gray = np.linspace(0, 65535, 60 * 80).astype(np.uint16).reshape(60, 80)
    found = read_photo(save(Image.fromarray(gray))).picture
    assert near(found[..., 0], gray // 257, 1) and (found[..., 0] == found[..., 2]).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_areas_are_white(save, picture, mode):
    if mode == "P":
        path = save(picture.convert("P"), "a.png", transparency=0)
        pixels = np.asarray(picture.convert("P"))
        assert (read_photo(path).picture[pixels == 0] == 255).all()
        return
    image = picture.convert(mode)
    image.putalpha(Image.fromarray(np.repeat(np.uint8([[0, 255]]), 60, 0).repeat(40, 1)))
    found = read_photo(save(image)).picture
    assert (found[:, :40] == 255).all()
    assert near(found[:, 40:], np.asarray(picture.convert(mode[:-1]).convert("RGB"))[:, 40:])


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp"])
def test_the_first_picture_of_an_animation_is_used(save, picture, name):
    photo = read_photo(save(picture, name, save_all=True, append_images=[Image.new("RGB", (80, 60), "blue")]))
    assert photo.is_first_of_several and near(photo.picture[-5, -5], RED, 12)


def test_damaged_metadata_is_ignored(save, picture):
    file = io.BytesIO()
    picture.save(file, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\x01" * 40)
    path = save(picture, "a.jpg")
    path.write_bytes(file.getvalue())
    assert read_photo(path).picture.shape == (60, 80, 3)


# --- unreadable files


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.gif", "a.bmp"])
@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_a_truncated_file_is_one_line(save, name, kept):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8))
    path = save(noise, name)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(DataError, match="Damaged; use another copy") as caught:
        read_photo(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


@pytest.mark.parametrize(("content", "message"), [(b"", "empty file"), (b"hello", "not a readable picture")])
def test_a_file_that_is_not_a_picture_is_one_line(tmp_path, content, message):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_photo(tmp_path / "a.jpg")


@pytest.mark.parametrize("size", [(11_000, 11_000), (20_000, 10_001)])
def test_a_decompression_bomb_is_rejected_before_decoding(save, size):
    path = save(Image.new("1", size))
    path.write_bytes(path.read_bytes()[:200])  # only the header; decoding would report it as cut off
    with pytest.raises(DataError, match=f"pixels, expected at most {MOST_PIXELS // 10**6} million"):
        read_photo(path)


def test_a_large_photo_is_read_without_a_warning(save):
    path = save(Image.new("1", (10_000, 10_000)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_photo(path).picture.shape == (10_000, 10_000, 3)


# --- HEIC


def test_heic_without_its_package_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    (tmp_path / "IMG_1.HEIC").write_bytes(b"x")
    with pytest.raises(UsageError, match="pip install pillow-heif"):
        read_photo(tmp_path / "IMG_1.HEIC")


@pytest.mark.parametrize("orientation", [1, 6])
def test_heic_is_read_upright(tmp_path, picture, orientation):
    heif = pytest.importorskip("pillow_heif", reason="the extra 'heic' is not installed")
    exif = Image.Exif()
    exif[0x0112] = orientation
    made = heif.from_pillow(picture)
    made.info["exif"] = exif.tobytes()
    made.save(tmp_path / "IMG_1.HEIC", quality=95)
    photo = read_photo(tmp_path / "IMG_1.HEIC")
    assert photo.picture.shape == ((60, 80, 3) if orientation == 1 else (80, 60, 3))
    assert near(photo.picture[5, 5 if orientation == 1 else -5], GREEN, 12)
    (tmp_path / "IMG_1.HEIC").write_bytes((tmp_path / "IMG_1.HEIC").read_bytes()[:300])
    with pytest.raises(DataError, match="does not decode"):
        read_photo(tmp_path / "IMG_1.HEIC")


# --- as a video of one picture


def test_a_photo_is_a_video_of_one_frame_at_any_rate(save, picture):
    path = save(picture, "a.jpg", quality=95)
    info = probe(path)
    assert info.is_photo and (info.width, info.height, info.pictures) == (80, 60, 1)
    assert [count_frames(info, fps) for fps in (0.1, 30, 1000)] == [1, 1, 1]
    ((number, frame),) = iterate_frames(path, size_px=30)
    assert number == 1 and np.array_equal(frame, read_frames(path, size_px=30)[0])


@pytest.mark.parametrize("shape", ["crop", "pad", "squash"])
def test_its_frame_is_scaled_by_lanczos(save, picture, shape):
    (frame,) = read_frames(save(picture), size_px=30, shape=shape)
    lanczos = Image.Resampling.LANCZOS
    if shape == "crop":
        expected = picture.resize((30, 30), lanczos, box=(10, 0, 70, 60))
    elif shape == "squash":
        expected = picture.resize((30, 30), lanczos)
    else:
        expected = Image.new("RGB", (30, 30))
        expected.paste(picture.resize((30, 22), lanczos), (0, 4))
    assert np.array_equal(frame, np.asarray(expected))
