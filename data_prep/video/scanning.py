"""All packets of a video in decoding order, and what they tell without being decoded."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from av import Packet, VideoFrame, VideoStream
from av.container import InputContainer

from data_prep.video.damage import decoder_lines, demuxer_stumbles
from data_prep.video.holes import has_hole
from data_prep.video.packets import pictures_in, starts_afresh
from data_prep.video.stepping import Decoder, is_empty
from groundwork.errors import DataError


@dataclass(frozen=True)
class Piece:
    """One packet.

    Attributes:
        stamp: when it is shown, in the stream's ticks; None if it is not stored.
        decode_stamp: when it is decoded, likewise.
        duration: in ticks; 0 if it is not stored.
        key: whether it is a key frame.
        sure: False for a key frame that a decoder can't start afresh at.
        discarded: whether an edit list cuts it away.
        pictures: how many it shows; None if only a decoder can tell.
    """

    stamp: int | None
    decode_stamp: int | None
    duration: int
    key: bool
    sure: bool
    discarded: bool
    pictures: int | None


@dataclass(frozen=True, eq=False)
class Scan:
    """Attributes:
    packets: those that hold anything, in decoding order.
    given: how many there are with the empty ones, which repeat a picture.
    first: the first picture decoded, or None.
    """

    packets: Sequence[Piece]
    given: int
    first: VideoFrame | None


def scan(path: Path, container: InputContainer, stream: VideoStream) -> Scan:
    """Read all packets.

    Finds what no decoder need tell: a file that ends early, pictures whose bytes are partly zeroed, a container (other
    than MP4, whose list tells) that its demuxer stumbles over.

    Raises:
        DataError: if it finds such a thing, or the pictures are encrypted.
    """
    found: list[Piece] = []
    first: VideoFrame | None = None
    empty, started = 0, False
    # A transport stream is put together from recordings: where one ends and the next begins, its packets count as lost.
    joined = container.format.name == "mpegts"
    decoder, packets = Decoder(stream), container.demux(stream)
    while True:
        with decoder_lines() as log:
            packet = next(packets, None)
        if told := [text.strip() for level, source, text in log if demuxer_stumbles(level, source, text)]:
            raise DataError(f"{path}: after picture {len(found)} the file is damaged or cut off ({told[0]}).")
        if packet is None:
            return Scan(found, len(found) + empty, first)
        if is_empty(packet):
            empty += 1
        elif packet.size:
            started = started or packet.is_keyframe
            if packet.is_corrupt and started and not joined:
                raise DataError(
                    f"{path}: ends within picture {len(found) + 1}, expected {stream.frames or 'more'}. Cut off."
                )
            found.append(_piece(path, packet, stream, len(found) + 1))
        if first is None:
            first = next(iter(decoder.step(packet)[0]), None)


def _piece(path: Path, packet: "Packet[VideoStream]", stream: VideoStream, number: int) -> Piece:
    if number == 1 and packet.has_sidedata("encryption_info"):
        raise DataError(
            f"{path}: its pictures are encrypted (protected against copying), expected a video that any player opens."
            " Use the file as it was filmed."
        )
    content = bytes(packet)
    if has_hole(content, stream.codec_context):
        raise DataError(f"{path}: picture {number} is overwritten with zeros. Damaged; use another copy.")
    return Piece(
        stamp=packet.dts if packet.pts is None else packet.pts,
        decode_stamp=packet.dts,
        duration=packet.duration or 0,
        key=packet.is_keyframe,
        sure=not packet.is_keyframe or starts_afresh(content, stream.codec_context),
        discarded=packet.is_discard,
        pictures=pictures_in(content, stream.codec_context),
    )


def key_pictures(packets: Sequence[Piece]) -> tuple[int, ...]:
    """Places of the key frames in decoding order (for a closed group, showing order too) among the pictures shown; ()
    if one group is open."""
    shown = [packet for packet in packets if packet.pictures != 0]
    stamps = [packet.stamp for packet in shown]
    if any(stamp is None for stamp in stamps) or len(set(stamps)) < len(stamps) or not packets[0].key:
        return ()
    if not all(packet.sure for packet in packets):
        return ()
    known = [stamp for stamp in stamps if stamp is not None]
    latest_before = list(itertools.accumulate(known, max))
    earliest_after = list(itertools.accumulate(reversed(known), min))[::-1]
    keys = [place for place, packet in enumerate(shown) if packet.key]
    for place in keys:
        if earliest_after[place] < known[place] or (place and latest_before[place - 1] > known[place]):
            return ()
    return tuple(keys)
