"""Videos and photos: facts about a file, and its pictures as square RGB frames at a given rate.

Other packages import only from here. The modules behind the names are loaded on first use, because decoders load
slowly, and a check of a frame tree does not need them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from data_prep.video.decoding import read_pictures
    from data_prep.video.frames import (
        DEFAULT_FPS,
        JPEG_QUALITY,
        count_frames,
        decode_jpeg,
        encode_jpeg,
        frame_pictures,
        iterate_frames,
        read_frames,
    )
    from data_prep.video.framing import Framing, Picture, crop_note
    from data_prep.video.info import VideoInfo
    from data_prep.video.photos import HEIC_SUFFIXES, PHOTO_READER, Photo, read_photo, require_heic
    from data_prep.video.probing import probe
    from data_prep.video.readers.read_checked import reader_version
    from data_prep.video.readers.table import DEFAULT_READER, READERS, reader_named
    from data_prep.video.suffixes import PHOTO_SUFFIXES, RAW_SUFFIXES, is_photo_file, is_unread_picture, is_video_file

__all__ = [
    "DEFAULT_FPS",
    "DEFAULT_READER",
    "HEIC_SUFFIXES",
    "JPEG_QUALITY",
    "PHOTO_READER",
    "PHOTO_SUFFIXES",
    "RAW_SUFFIXES",
    "READERS",
    "Framing",
    "Photo",
    "Picture",
    "VideoInfo",
    "count_frames",
    "crop_note",
    "decode_jpeg",
    "encode_jpeg",
    "frame_pictures",
    "is_photo_file",
    "is_unread_picture",
    "is_video_file",
    "iterate_frames",
    "probe",
    "read_frames",
    "read_photo",
    "read_pictures",
    "reader_named",
    "reader_version",
    "require_heic",
]

# The modules that define the names above
_HOMES = {
    "decoding": ["read_pictures"],
    "frames": [
        *("DEFAULT_FPS", "JPEG_QUALITY", "count_frames", "decode_jpeg", "encode_jpeg", "frame_pictures"),
        *("iterate_frames", "read_frames"),
    ],
    "framing": ["Framing", "Picture", "crop_note"],
    "info": ["VideoInfo"],
    "photos": ["HEIC_SUFFIXES", "PHOTO_READER", "Photo", "read_photo", "require_heic"],
    "probing": ["probe"],
    "readers.read_checked": ["reader_version"],
    "readers.table": ["DEFAULT_READER", "READERS", "reader_named"],
    "suffixes": ["PHOTO_SUFFIXES", "RAW_SUFFIXES", "is_photo_file", "is_unread_picture", "is_video_file"],
}


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
