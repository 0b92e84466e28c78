"""What libav says of damage while it decodes: it fills damaged parts in and goes on, and only its log tells.

Two libavs are at work, PyAV's and the one inside decord's wheel. PyAV hands lines over by thread. decord prints them or
keeps still, so its library's log is listened to through ctypes: no reader says which line is whose, hence one reader at
a time in a process. (Catching stderr instead would also catch what other threads print.)

What no log tells: HEVC's decoder takes flipped bits for a picture unless they break its syntax. Of 36 files with 1, 8
or 64 bits flipped 9 passed as whole, and more of noise; of H.264 none (measured). Holes and cut ends `probe` finds.
"""

import ctypes
import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import av.logging

av.logging.set_level(av.logging.WARNING)
av.logging.set_skip_repeated(False)  # "repeated" counts across files: one file's line would hide the next one's
logging.getLogger("libav").setLevel(logging.CRITICAL + 1)  # lines that nobody captures are not printed either

# Errors that undamaged files give (measured: a start trimmed within open groups): a reference is dropped twice.
_HARMLESS = ("mmco: unref short failure",)
# Damage that libav calls by a lower name: H.264's parts that were filled in, HEVC's slices that were skipped.
_TELLING = ("concealing ", "Skipping invalid undecodable NALU", "Error parsing NAL unit")
_LINE = re.compile(r"(?:\[(?P<source>[^\]]+?) @ \w+\] )*(?P<message>.*)", re.DOTALL)  # the innermost source speaks
_LINE_BYTES = 512


def tells_of_damage(level: int, source: str, message: str, codec: str) -> bool:
    """Whether a line of libav's log says that a picture of this video is damaged.

    Args:
        level: libav's, lower is worse.
        source: who speaks, such as `h264`; only the video's own decoder counts, not sound, and not the container, for
            what is missing there shows in the count of pictures.
        message: the line.
        codec: libav's name of the video's codec.
    """
    if source != codec or message.startswith(_HARMLESS):
        return False
    return level <= av.logging.ERROR or message.startswith(_TELLING)


def demuxer_stumbles(level: int, source: str) -> bool:
    """Whether a line says that a container breaks off or is damaged. Only Matroska's lines count: it has no list of its
    pictures to count against, as MP4 has."""
    return level <= av.logging.ERROR and source.startswith("matroska")


class DecordLog:
    """The log of the libav inside decord.

    Raises AttributeError if its functions can't be reached (they can on Linux and macOS, through decord's own library).
    """

    def __init__(self, decord: Any) -> None:
        library = decord._ffi.base._LIB
        listener_type = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
        self._set_callback, self._format_line = library.av_log_set_callback, library.av_log_format_line
        self._set_callback.argtypes, self._set_callback.restype = [listener_type], None
        prefix = ctypes.POINTER(ctypes.c_int)
        self._format_line.argtypes = [*listener_type._argtypes_, ctypes.c_char_p, ctypes.c_int, prefix]
        self._format_line.restype = None
        self._listener = listener_type(self._hear)  # kept: libav holds a bare pointer to it
        self._turn = threading.Lock()
        self._lines: list[tuple[int, str]] = []
        self._set_callback(listener_type())  # nobody listens, nothing is printed

    @contextmanager
    def damage(self, codec: str) -> Iterator[list[str]]:
        """Give a list that holds, once the block has ended, the lines that tell of damage. Readers begin and end in it.

        Waits for its turn: one block at a time in a process.
        """
        told: list[str] = []
        with self._turn:
            self._lines.clear()
            self._set_callback(self._listener)
            try:
                yield told
            finally:
                self._set_callback(type(self._listener)())
                for level, line in self._lines:
                    match = _LINE.match(line)
                    if match and tells_of_damage(level, match["source"] or "", match["message"], codec):
                        told.append(match["message"])

    def _hear(self, context: int | None, level: int, text: bytes, arguments: int | None) -> None:
        """Called by libav, in decord's thread, about seven times a picture, nearly always with nothing of interest."""
        if level <= av.logging.INFO:
            line, prefix = ctypes.create_string_buffer(_LINE_BYTES), ctypes.c_int(1)
            self._format_line(context, level, text, arguments, line, _LINE_BYTES, prefix)
            self._lines.append((level, line.value.decode("utf-8", "replace").strip()))
