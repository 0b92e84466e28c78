"""Writes a video with each frame's answer below it, in large white letters on black. It is for viewing, not for
measurements.

It shows the square that the recognizer sees, enlarged to SIDE_PX, at a constant rate. It has no sound, and no metadata
of the source file.
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
BAND_PX = 160  # height of the caption, which is below the picture and hides nothing
MARGIN_PX = 24
NAME_PX, LEAST_NAME_PX, CONFIDENCE_PX = 84, 48, 40  # letter sizes; a long name gets smaller letters, then is cut
_ENCODER = {"preset": "veryfast", "crf": "21"}
_BT709 = 1  # its code in ITU-T H.273 and in libav's scaler
_FONT = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans-Bold.ttf"


class Captions:
    """The captions of a video's frames, stored in 6 bytes per frame."""

    def __init__(self) -> None:
        """Begin without a frame."""
        self._texts: dict[tuple[str, bool], int] = {}  # (answer, whether it names an object), in order of first use
        self._places, self._confidences = array("h"), array("f")

    def __len__(self) -> int:
        """Frames so far."""
        return len(self._places)

    def add(self, answer: FrameAnswer) -> None:
        """Add the next frame's answer."""
        self._places.append(self._texts.setdefault((answer.text, answer.known), len(self._texts)))
        self._confidences.append(answer.confidence)

    def __iter__(self) -> Iterator[Pictures]:
        """A band for each frame, uint8 (BAND_PX, SIDE_PX, 3)."""
        texts = list(self._texts)
        for place, confidence in zip(self._places, self._confidences, strict=True):
            text, known = texts[place]  # the confidence does not apply to "none of these"
            yield caption(text, f"confidence {100 * confidence:.0f} %" if known else "")


def annotate(pictures: Iterable[Pictures], captions: Captions, out: Path, *, fps: float) -> None:
    """Write the video with captions, complete or not at all.

    Args:
        pictures: the frames, square, uint8 (s, s, 3), any s.
        captions: one per frame.
        out: the MP4 file to write (H.264, yuv420p).
        fps: frames per second.

    Raises:
        DataError: if there are more or fewer pictures than captions, because the video has changed meanwhile.
    """
    rate = Fraction(fps).limit_denominator(1001)
    try:
        # opened by name: libav reports system errors on its own files, but not on Python's
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
    except av.error.OSError as error:  # such as a full disk; libav names the temporary file
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
    raise DataError(
        f"{out}: not written, because the video's length has changed since it was read; run the command again"
    )


def _scaled(picture: Pictures) -> Pictures:
    side_px = len(picture)
    if side_px == SIDE_PX:
        return picture
    how = cv2.INTER_AREA if side_px > SIDE_PX else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (SIDE_PX, SIDE_PX), interpolation=how), dtype=np.uint8)


@lru_cache(maxsize=256)
def caption(name: str, confidence: str) -> Pictures:
    """The caption below a frame, uint8 (BAND_PX, SIDE_PX, 3): a name and, below it, the confidence. Do not modify it.

    A name that is too long for one line gets smaller letters, down to LEAST_NAME_PX, and then is shortened.
    """
    band = Image.new("RGB", (SIDE_PX, BAND_PX), "black")
    draw = ImageDraw.Draw(band)
    text, font = _fitted(" ".join(name.split()))
    height = 0.36 if confidence else 0.5
    draw.text((MARGIN_PX, BAND_PX * height), text, font=font, fill="white", anchor="lm")
    if confidence:
        draw.text((MARGIN_PX, BAND_PX * 0.81), confidence, font=_font(CONFIDENCE_PX), fill="white", anchor="lm")
    return np.asarray(band, dtype=np.uint8)


def _fitted(text: str) -> tuple[str, ImageFont.FreeTypeFont]:
    """The text, shortened if necessary, and a font in which it fits on one line."""
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
    """A font that comes with matplotlib: Latin, Greek, Cyrillic and a few more; Chinese and emoji show as boxes."""
    return ImageFont.truetype(str(_FONT), size_px)
