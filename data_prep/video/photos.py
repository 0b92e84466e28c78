"""Reads one photo file as an upright 8-bit RGB picture, or raises a one-line error that says why not.

A photo is a video of one picture, so that every reader of raw videos can read it. Of Pillow's formats, only those in
FORMATS are tried. Colors are used as coded: an embedded profile (Display P3) is not applied.
"""

import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
import PIL
from PIL import Image, UnidentifiedImageError

from data_prep.video.framing import MOST_PIXELS, Picture
from groundwork.errors import DataError, KitError, UsageError
from groundwork.process_setting import ProcessSetting

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
HEIC_SUFFIXES = (".heic", ".heif")
PHOTO_READER = f"Pillow {PIL.__version__}"
_GROUND = (255, 255, 255)  # behind transparent areas, as in most viewers
_ORIENTATION = 0x0112
# EXIF 2.32, 4.6.4: how to transform a picture that is stored in each orientation
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _silence_warnings() -> Callable[[], object]:
    """Silence Pillow's warnings of large pictures and odd metadata; the kit raises errors for what matters."""
    silence = warnings.catch_warnings()
    silence.__enter__()
    warnings.simplefilter("ignore")
    return lambda: silence.__exit__(None, None, None)


_SILENCE = ProcessSetting(_silence_warnings)


@dataclass(frozen=True, eq=False)
class Photo:
    """One photo.

    Attributes:
        picture: upright, RGB, uint8 (height, width, 3); transparent areas are white.
        format: Pillow's name of the format, such as `JPEG`.
        is_first_of_several: whether the file has more pictures after this one, as an animation does.
    """

    picture: Picture
    format: str
    is_first_of_several: bool


def read_photo(path: Path) -> Photo:
    """Read a photo.

    Raises:
        UsageError: if it needs a package that is not installed.
        DataError: if it is empty, not a picture in a known format, damaged, or larger than MOST_PIXELS (checked before
            decoding).
    """
    with _one_line(path), _SILENCE, _opened(path) as image:
        if image.width * image.height > MOST_PIXELS:
            raise _too_large(path, f"{image.width} x {image.height}")
        several = image.format in ("GIF", "PNG", "WEBP") and bool(getattr(image, "is_animated", False))
        picture = _turned(_in_rgb(path, image), _orientation(image))
        return Photo(np.asarray(picture, np.uint8), image.format or "HEIF", several)


def is_animation(path: Path) -> bool:
    """Whether a GIF has more than one picture, and so is a video; False for other formats and damaged files."""
    if path.suffix.lower() != ".gif":
        return False
    try:
        with _SILENCE, Image.open(path, formats=("GIF",)) as image:
            return bool(getattr(image, "is_animated", False))
    except Exception:  # reading it reports what is wrong
        return False


def require_heic(what: str) -> None:
    """Require that HEIC files can be read.

    Raises:
        UsageError: if the package for it is not installed; the message begins with `what`.
    """
    try:
        import_module("pillow_heif")
    except ImportError:
        raise UsageError(
            f"{what}: HEIC, which needs the package pillow-heif: python -m pip install pillow-heif. Or export JPEG from"
            " the phone."
        ) from None


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open the file without decoding it."""
    if path.suffix.lower() in HEIC_SUFFIXES:
        require_heic(str(path))
        # opened directly: its pictures are already upright, and Pillow's table of formats is not changed
        found = import_module("pillow_heif").open_heif(path)
        if found.size[0] * found.size[1] > MOST_PIXELS:
            raise _too_large(path, f"{found.size[0]} x {found.size[1]}")
        yield found.to_pillow()
        return
    with Image.open(path, formats=FORMATS) as image:
        yield image


def _in_rgb(path: Path, image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        # Pillow would cut off what is above 255
        return Image.fromarray(((np.asarray(image).astype(np.uint32) + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise DataError(f"{path}: 32 bits per pixel, of unknown range; expected 8 or 16. Save it as PNG or JPEG.")
    if image.has_transparency_data:
        picture = image.convert("RGBA")
        ground = Image.new("RGBA", picture.size, _GROUND)
        return Image.alpha_composite(ground, picture).convert("RGB")
    return image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    """How the picture is stored, 1 to 8. Call this after decoding: some formats store it after the pixels."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # damaged metadata is not a reason to reject the picture
        return 1


def _turned(picture: Image.Image, orientation: int) -> Image.Image:
    return picture.transpose(_TURNS[orientation]) if orientation in _TURNS else picture


@contextmanager
def _one_line(path: Path) -> Iterator[None]:
    """Turn all errors of decoders into one line that names the file."""
    try:
        if path.stat().st_size == 0:
            raise DataError(f"{path}: an empty file; perhaps it is still in the cloud. Download it, or remove it.")
        yield
    except KitError:
        raise
    except Image.DecompressionBombError as error:  # Pillow's own limit, above ours: it names the number of pixels
        stated = re.search(r"[0-9]+", str(error))
        raise _too_large(path, stated[0] if stated else "far too many") from None
    except FileNotFoundError:
        link = path.is_symlink()
        raise DataError(
            f"{path}: {'a link that leads nowhere' if link else 'no such file any more'}."
            f" {'Fetch the file that it names' if link else 'Put it back'}, or remove it."
        ) from None
    except UnidentifiedImageError:
        raise DataError(
            f"{path}: not a readable picture; expected {', '.join(FORMATS)} or HEIC. Damaged, or another kind of file"
            " with this suffix."
        ) from None
    except Exception as error:  # decoders raise nearly anything on damaged files
        reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path}: does not decode ({reason}). Damaged; use another copy.") from None


def _too_large(path: Path, size: str) -> DataError:
    return DataError(
        f"{path}: {size} pixels, expected at most {MOST_PIXELS // 1_000_000} million. Make it smaller first."
    )
