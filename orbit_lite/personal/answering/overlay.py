"""A video with each frame's answer below it, in large white letters on black: for people to look at, not to measure on.

It shows the square that the recognizer was given, SIDE_PX wide instead of the recognizer's size, at a constant rate;
what the recognizer does not see is not shown. No sound, and nothing of what the source file says of itself.
"""

from array import array
from collections.abc import Generator, Iterable, Iterator
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import cv2
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from groundwork.errors import DataError
from groundwork.files import whole_file
from orbit_lite.data.frames import Pictures
from orbit_lite.personal.answering.answers import FrameAnswer

SIDE_PX = 720
BAND_PX = 160  # below the picture, so that it hides nothing
MARGIN_PX = 24
NAME_PX, LEAST_NAME_PX, SURE_PX = 84, 48, 40  # sizes of letters; a long name is set smaller, then shortened
_ENCODER = {"preset": "veryfast", "crf": "21"}
_BT709 = 1  # as ITU-T H.273 and libav's scaler count
_FONT = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans-Bold.ttf"


class Captions:
    """What is to stand below each frame of a video, kept in 6 bytes a frame."""

    def __init__(self) -> None:
        """Begin without a frame."""
        self._texts: dict[tuple[str, bool], int] = {}  # each answer, and whether it names an object, in order of coming
        self._places, self._confidences = array("h"), array("f")

    def __len__(self) -> int:
        """Frames so far."""
        return len(self._places)

    def add(self, answer: FrameAnswer) -> None:
        """Keep the next frame's answer."""
        self._places.append(self._texts.setdefault((answer.text, answer.known), len(self._texts)))
        self._confidences.append(answer.confidence)

    def __iter__(self) -> Iterator[Pictures]:
        """A band for each frame, uint8 (BAND_PX, SIDE_PX, 3)."""
        texts = list(self._texts)
        for place, confidence in zip(self._places, self._confidences, strict=True):
            text, known = texts[place]  # how sure "none of these" is, a confidence does not say
            yield caption(text, f"confidence {100 * confidence:.0f} %" if known else "")


def annotate(pictures: Iterable[Pictures], captions: Captions, out: Path, *, fps: float) -> None:
    """Write a video, whole or not at all.

    Args:
        pictures: the frames that the captions are of, square, uint8 (s, s, 3), any s.
        captions: one for each.
        out: the file, MP4: H.264, yuv420p.
        fps: frames a second.

    Raises:
        DataError: if there are more or fewer pictures than captions: the video has changed in between.
    """
    rate = Fraction(fps).limit_denominator(1001)
    try:
        # by its name, not the file: libav says what the system refused, but not what Python's file did
        with whole_file(out) as file, av.open(file.name, "w", format="mp4") as container:
            stream = container.add_stream("libx264", rate=rate, options=_ENCODER)
            stream.width, stream.height, stream.pix_fmt = SIDE_PX, SIDE_PX + BAND_PX, "yuv420p"
            context: Any = stream.codec_context
            context.color_primaries = context.color_trc = context.colorspace = _BT709
            for number, (picture, band) in enumerate(_paired(pictures, captions, out)):
                shown = av.VideoFrame.from_ndarray(np.concatenate([_scaled(picture), band]), format="rgb24")
                frame = shown.reformat(format="yuv420p", dst_colorspace=_BT709)
                frame.pts, frame.time_base = number, 1 / rate
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    except av.error.OSError as error:  # a full disk; it names the part
        raise OSError(error.errno, error.strerror, str(out)) from None


def _paired(
    pictures: Iterable[Pictures], captions: Captions, out: Path
) -> Generator[tuple[Pictures, Pictures], None, None]:
    coming = iter(pictures)
    for band in captions:
        picture = next(coming, None)
        if picture is None:
            break
        yield picture, band
    else:
        if next(coming, None) is None:
            return
    raise DataError(f"{out}: not written, for the video has another length than a moment ago; did it change?")


def _scaled(picture: Pictures) -> Pictures:
    side_px = len(picture)
    if side_px == SIDE_PX:
        return picture
    how = cv2.INTER_AREA if side_px > SIDE_PX else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (SIDE_PX, SIDE_PX), interpolation=how), dtype=np.uint8)


@lru_cache(maxsize=256)
def caption(name: str, sure: str) -> Pictures:
    """The band below a frame, uint8 (BAND_PX, SIDE_PX, 3): a name, and below it how sure that is. Not to be changed.

    A name that is too long for one line is set smaller, down to LEAST_NAME_PX, and then shortened.
    """
    band = Image.new("RGB", (SIDE_PX, BAND_PX), "black")
    draw = ImageDraw.Draw(band)
    text, font = _fitted(" ".join(name.split()))
    below = bool(sure)
    draw.text((MARGIN_PX, BAND_PX * (0.36 if below else 0.5)), text, font=font, fill="white", anchor="lm")
    if below:
        draw.text((MARGIN_PX, BAND_PX * 0.81), sure, font=_font(SURE_PX), fill="white", anchor="lm")
    return np.asarray(band, dtype=np.uint8)


def _fitted(text: str) -> tuple[str, ImageFont.FreeTypeFont]:
    """The text and the font in which it fits into one line."""
    room_px = SIDE_PX - 2 * MARGIN_PX
    for size_px in range(NAME_PX, LEAST_NAME_PX - 1, -4):
        if _font(size_px).getlength(text) <= room_px:
            return text, _font(size_px)
    font, shortened = _font(LEAST_NAME_PX), text
    while font.getlength(f"{shortened}\u2026") > room_px:
        shortened = shortened[:-1].rstrip()
    return f"{shortened}\u2026", font


@lru_cache
def _font(size_px: int) -> ImageFont.FreeTypeFont:
    """Letters that matplotlib brings along: Latin, Greek, Cyrillic and some more; no Chinese, no emoji (boxes)."""
    return ImageFont.truetype(str(_FONT), size_px)
