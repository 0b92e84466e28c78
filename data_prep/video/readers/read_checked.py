"""Reads pictures with any reader, after PyAV has read the whole video without damage and both counts agree.

decord and torchcodec ignore damage silently, so they are used only for videos that have been checked.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.video import decoding
from data_prep.video.framing import Framing, Picture
from data_prep.video.info import VideoInfo
from data_prep.video.readers.table import DEFAULT_READER, reader_named
from groundwork.errors import DataError, KitError


def reader_version(info: VideoInfo, reader: str = DEFAULT_READER) -> str:
    """The decoder of such a video, with versions; for photos, Pillow with any reader.

    Raises:
        UsageError: if there is no such reader, or it is not installed.
    """
    chosen = reader_named(reader)
    return decoding.reader_of(info) if not chosen.module or info.is_photo else chosen.version()


def read_pictures(
    path: Path, info: VideoInfo, pictures: NDArray[np.int64], framing: Framing, *, reader: str = DEFAULT_READER
) -> Iterator[Picture]:
    """As `decoding.read_pictures`, with a named reader, and with the whole video decoded, so that damage anywhere is
    found. Use readers other than PyAV only in a process that can be killed.

    Args:
        path: the video.
        info: the result of `probe`.
        pictures: indices from 0, ascending.
        framing: size, shape and scaling.
        reader: a name in READERS.

    Raises:
        UsageError: if there is no such reader, or it is not installed.
        DataError: if the video is damaged anywhere, or the reader's number of pictures differs from PyAV's, or it can't
            show such a video correctly, or fails.
    """
    chosen = reader_named(reader)
    if not chosen.module or info.is_photo:
        yield from decoding.read_pictures(path, info, pictures, framing, decode_all=True)
        return
    chosen.require()
    adapter, size = chosen.adapter(), framing.decoded_size(info.width, info.height)
    if reason := adapter.cannot_show(info):
        raise DataError(f"{path}: {reader} does not show {reason} correctly. Use --reader {DEFAULT_READER}.")
    decoding.check_whole(path, info)
    try:
        opened = adapter.open_pictures(path, info, size)
        if opened.count != info.pictures:
            raise DataError(
                f"{path}: {reader} finds {opened.count} pictures, but PyAV {info.pictures}."
                f" Use --reader {DEFAULT_READER}."
            )
        for picture in opened.pictures(pictures):
            if picture.shape != (size[1], size[0], 3):
                raise DataError(
                    f"{path}: {reader} gave a picture of shape {picture.shape}, expected {(size[1], size[0], 3)}."
                    f" Use --reader {DEFAULT_READER}."
                )
            yield decoding.as_frame(picture, info, framing)
    except KitError:
        raise
    except (RuntimeError, ValueError, IndexError, MemoryError) as error:  # DECORDError is a RuntimeError
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{path}: {reader} can't read it ({reason}). Use --reader {DEFAULT_READER}.") from None
