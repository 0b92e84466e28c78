"""What libav says of damage while it decodes: it fills damaged parts in and goes on, and only its log tells.

PyAV hands the lines over by thread, so a block of `decoder_lines()` hears of its own file alone, as long as the decoder
works in the thread that calls it (one thread per decoder: see `probing.open_video`). PyAV's log is off by default, and
is one for the whole process: it is on only while such a block runs.

What no log tells: HEVC's decoder takes flipped bits for a picture unless they break its syntax. Of 36 files with 1, 8
or 64 bits flipped 9 passed as whole, and more of noise; of H.264 none (measured). Holes and cut ends `probe` finds.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import av.logging
from av.container import InputContainer

from groundwork.process_setting import ProcessSetting

# Errors that undamaged files give: a reference is dropped twice (measured: a start trimmed within open groups), or more
# of them are kept than promised; remarks beside the pictures (SEI, APP fields) can't be read; bytes are left over.
_HARMLESS = (
    *("mmco: unref short failure", "number of reference frames ("),
    *("SEI type ", "non-existing SPS", "Overread VUI", "unable to decode APP fields"),
    *("Header packet passed to frame decoder", "Discarding excessive bitstream"),
)
# Damage that libav calls by a lower name: H.264's parts that were filled in, HEVC's slices that were skipped.
_TELLING = ("concealing ", "Skipping invalid undecodable NALU", "Error parsing NAL unit")
# Demuxers, and how their lines begin that say bytes are missing or make no sense
_STUMBLES: dict[str, tuple[str, ...]] = {
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
        # Other threads' lines, which nobody asked for, go nowhere.
        others.enter_context(av.logging.Capture(local=False))  # type: ignore[arg-type]
    av.logging.set_skip_repeated(False)  # "repeated" counts across files: one file's line would hide the next one's

    def turn_off() -> None:
        av.logging.set_skip_repeated(skips)
        if av.logging.get_level() != level:
            av.logging.set_level(level)
        others.close()

    return turn_off


_LOG_ON = ProcessSetting(partial(_turn_on, av.logging.WARNING))
_DESCRIPTIONS_ON = ProcessSetting(partial(_turn_on, av.logging.INFO))  # where libav's own summary of a file goes


@contextmanager
def decoder_lines() -> Iterator[list[tuple[int, str, str]]]:
    """The lines (level, source, message) that libav says in this thread while the block runs; not to be held while a
    caller works."""
    with _LOG_ON, av.logging.Capture() as lines:
        yield lines


def description(container: InputContainer) -> str:
    """libav's own summary of an open file, stream by stream; "" if it can't be had."""
    try:
        with _DESCRIPTIONS_ON:
            return str(container.dumps_format())  # type: ignore[attr-defined]
    except Exception:  # it is made of whatever the file holds
        return ""


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


def demuxer_stumbles(level: int, source: str, message: str) -> bool:
    """Whether a line says that a container breaks off or is damaged. MP4's lines don't count: it has a list of its
    pictures to count against."""
    return level <= av.logging.ERROR and any(
        source.startswith(name) and message.startswith(beginnings) for name, beginnings in _STUMBLES.items()
    )


def breaks_off(level: int, source: str, message: str) -> bool:
    """Whether a line says, while a file is opened, that it ends too early: short files are read whole then."""
    return demuxer_stumbles(level, source, message) and message.startswith(("File ended", "Read error", "CRC"))
