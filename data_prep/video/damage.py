"""Detects damage by libav's log: while decoding, libav fills in damaged parts and continues, and only its log says so.

PyAV delivers the log lines by thread, so a block of `decoder_lines()` gets only the lines about its own file, provided
that the decoder works in the calling thread (one thread per decoder, see `opening.open_video`). PyAV's log is off by
default and global to the process; it is on only while such a block runs.

Some damage is not logged: HEVC's decoder accepts flipped bits as a picture unless they break its syntax. Of 36 files
with 1, 8 or 64 flipped bits, 9 passed as whole, and more for noise; with H.264, none did (measured). `probe` finds
holes and cut ends.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import av.logging
from av.container import InputContainer

from groundwork.process_setting import ProcessSetting

# Errors that undamaged files give: a reference is dropped twice (measured: a start trimmed within open groups), or more
# references are kept than announced; metadata (SEI, APP fields) can't be read; bytes are left over.
_HARMLESS = (
    *("mmco: unref short failure", "number of reference frames ("),
    *("SEI type ", "non-existing SPS", "Overread VUI", "unable to decode APP fields"),
    *("Header packet passed to frame decoder", "Discarding excessive bitstream"),
)
# Damage that libav logs at a lower level: parts of H.264 pictures that were filled in, HEVC slices that were skipped.
_SIGNS_OF_DAMAGE = ("concealing ", "Skipping invalid undecodable NALU", "Error parsing NAL unit")
# Demuxers, with the beginnings of their lines about missing or invalid bytes
_DEMUXER_ERRORS: dict[str, tuple[str, ...]] = {
    "matroska": ("",),
    "ogg": ("CRC mismatch",),
    "asf": ("packet_", "ff asf bad header", "ff asf skip", "freeing incomplete packet"),
    "flv": ("Packet mismatch",),
}


def _turn_on(wanted: int) -> Callable[[], None]:
    level, skips = av.logging.get_level(), av.logging.get_skip_repeated()
    others = ExitStack()
    if level is None or level < wanted:
        av.logging.set_level(wanted)
        # Lines of other threads, which nobody requested, are discarded.
        others.enter_context(av.logging.Capture(local=False))  # type: ignore[arg-type]
    av.logging.set_skip_repeated(False)  # repeats count across files: one file's line would hide the next one's

    def turn_off() -> None:
        av.logging.set_skip_repeated(skips)
        if av.logging.get_level() != level:
            av.logging.set_level(level)
        others.close()

    return turn_off


_LOG_ON = ProcessSetting(partial(_turn_on, av.logging.WARNING))
_DESCRIPTIONS_ON = ProcessSetting(partial(_turn_on, av.logging.INFO))  # the level of libav's summary of a file


@contextmanager
def decoder_lines() -> Iterator[list[tuple[int, str, str]]]:
    """The lines (level, source, message) that libav logs in this thread while the block runs. The block must be short
    and must not yield to a caller."""
    with _LOG_ON, av.logging.Capture() as lines:
        yield lines


def description(container: InputContainer) -> str:
    """libav's own summary of an open file, stream by stream; "" if it is not available."""
    try:
        with _DESCRIPTIONS_ON:
            return str(container.dumps_format())  # type: ignore[attr-defined]
    except Exception:  # it depends on the content of the file
        return ""


def tells_of_damage(level: int, source: str, message: str, codec: str) -> bool:
    """Whether a line of libav's log says that a picture of this video is damaged.

    Args:
        level: libav's level; lower is worse.
        source: the component that logged it, such as `h264`. Only the video's own decoder counts: sound does not
            matter, and data missing in the container shows in the number of pictures.
        message: the line.
        codec: libav's name of the video's codec.
    """
    if source != codec or message.startswith(_HARMLESS):
        return False
    return level <= av.logging.ERROR or message.startswith(_SIGNS_OF_DAMAGE)


def is_demuxer_error(level: int, source: str, message: str) -> bool:
    """Whether a line says that a container is cut off or damaged. MP4's lines don't count: MP4 lists its pictures, so
    missing ones are found by counting."""
    return level <= av.logging.ERROR and any(
        source.startswith(name) and message.startswith(beginnings) for name, beginnings in _DEMUXER_ERRORS.items()
    )


def is_early_end(level: int, source: str, message: str) -> bool:
    """Whether a line, logged while a file is opened, says that the file ends too early; opening reads short files
    completely."""
    return is_demuxer_error(level, source, message) and message.startswith(("File ended", "Read error", "CRC"))
