"""Scans all packets of a video in decoding order, without decoding them."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from av import Packet, VideoFrame, VideoStream
from av.container import InputContainer

from data_prep.video.damage import decoder_lines, is_demuxer_error
from data_prep.video.holes import has_hole
from data_prep.video.packets import is_clean_start, pictures_in
from data_prep.video.stepping import Decoder, is_empty
from groundwork.errors import DataError


@dataclass(frozen=True)
class Piece:
    """One packet.

    Attributes:
        stamp: its display time, in the stream's ticks; None if it is not stored.
        decode_stamp: its decoding time, likewise.
        duration: in ticks; 0 if it is not stored.
        key: whether it is a key frame.
        sure: False for a key frame at which a decoder can't start cleanly.
        discarded: whether an edit list removes it.
        pictures: how many pictures it shows; None if only a decoder can tell.
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
    """The result of a scan.

    Attributes:
        packets: all packets that are not empty, in decoding order.
        given: the number of packets including empty ones, which repeat a picture.
        first: the first decoded picture, or None.
    """

    packets: Sequence[Piece]
    given: int
    first: VideoFrame | None


def scan(path: Path, container: InputContainer, stream: VideoStream) -> Scan:
    """Read all packets.

    Finds faults that need no decoder: a file that ends early, pictures whose bytes are partly zeroed, and errors of the
    demuxer (except for MP4, which is checked by its list of pictures).

    Raises:
        DataError: if it finds such a fault, or the pictures are encrypted.
    """
    found: list[Piece] = []
    first: VideoFrame | None = None
    empty, started = 0, False
    # A transport stream may be joined from several recordings; at each joint, packets are reported as lost.
    joined = container.format.name == "mpegts"
    decoder, packets = Decoder(stream), container.demux(stream)
    while True:
        with decoder_lines() as log:
            packet = next(packets, None)
        if lines := [text.strip() for level, source, text in log if is_demuxer_error(level, source, text)]:
            raise DataError(f"{path}: damaged or cut off after picture {len(found)} ({lines[0]}).")
        if packet is None:
            return Scan(found, len(found) + empty, first)
        if is_empty(packet):
            empty += 1
        elif packet.size:
            started = started or packet.is_keyframe
            if packet.is_corrupt and started and not joined:
                raise DataError(
                    f"{path}: ends inside picture {len(found) + 1}, expected {stream.frames or 'more'}. Cut off."
                )
            found.append(_piece(path, packet, stream, len(found) + 1))
        if first is None:
            first = next(iter(decoder.step(packet)[0]), None)


def _piece(path: Path, packet: "Packet[VideoStream]", stream: VideoStream, number: int) -> Piece:
    if number == 1 and packet.has_sidedata("encryption_info"):
        raise DataError(
            f"{path}: its pictures are encrypted (copy protection), expected a video that any player can open."
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
        sure=not packet.is_keyframe or is_clean_start(content, stream.codec_context),
        discarded=packet.is_discard,
        pictures=pictures_in(content, stream.codec_context),
    )


def key_pictures(packets: Sequence[Piece]) -> tuple[int, ...]:
    """Indices of the key frames among the pictures shown, in decoding order (for closed groups, this is also display
    order); () if a group is open."""
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
