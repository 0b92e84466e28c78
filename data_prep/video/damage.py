"""What libav says of damage while it decodes: it fills damaged parts in and goes on, and only its log tells.

PyAV hands the lines over by thread, so a block of `decoder_lines()` hears of its own file alone, as long as the decoder
works in the thread that calls it (one thread per decoder: see `probing.open_video`). PyAV's log is off by default, and
is one for the whole process: it is on only while such a block runs.

What no log tells: HEVC's decoder takes flipped bits for a picture unless they break its syntax. Of 36 files with 1, 8
or 64 bits flipped 9 passed as whole, and more of noise; of H.264 none (measured). Holes and cut ends `probe` finds.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import av.logging

from groundwork.process_setting import ProcessSetting

# Errors that undamaged files give (measured: a start trimmed within open groups): a reference is dropped twice.
_HARMLESS = ("mmco: unref short failure",)
# Damage that libav calls by a lower name: H.264's parts that were filled in, HEVC's slices that were skipped.
_TELLING = ("concealing ", "Skipping invalid undecodable NALU", "Error parsing NAL unit")


def _turn_on() -> Callable[[], None]:
    level, skips = av.logging.get_level(), av.logging.get_skip_repeated()
    logger = logging.getLogger("libav")
    logger_level = logger.level
    if level is None or level < av.logging.WARNING:
        av.logging.set_level(av.logging.WARNING)
        logger.setLevel(logging.CRITICAL + 1)  # other threads' lines, which nobody asked for, go nowhere
    av.logging.set_skip_repeated(False)  # "repeated" counts across files: one file's line would hide the next one's

    def turn_off() -> None:
        av.logging.set_skip_repeated(skips)
        if av.logging.get_level() != level:
            av.logging.set_level(level)
        logger.setLevel(logger_level)

    return turn_off


_LOG_ON = ProcessSetting(_turn_on)


@contextmanager
def decoder_lines() -> Iterator[list[tuple[int, str, str]]]:
    """The lines (level, source, message) that libav says in this thread while the block runs; not to be held while a
    caller works."""
    with _LOG_ON, av.logging.Capture() as lines:
        yield lines


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
