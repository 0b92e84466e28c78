"""Which pictures a video shows, and when: by counting packets if each is one picture, otherwise by decoding.

A video may have more packets than pictures: VP8 and VP9 with pictures that are only references, H.264 with each field
in a separate packet (AVCHD), a recording that begins in the middle of a broadcast. Counting these as missing pictures
would reject a whole video.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from av import VideoFrame

from data_prep.video.opening import open_video
from data_prep.video.scanning import Piece, Scan
from data_prep.video.stepping import Decoder


@dataclass(frozen=True, eq=False)
class Shown:
    """The pictures shown.

    Attributes:
        stamps: one time stamp per picture, in ticks, in any order; None if it is not stored.
        last_duration: the duration of the last picture, in ticks; 0 if unknown.
        interlaced: whether any picture is interlaced.
        first: the first decoded picture; None if none was decoded.
    """

    stamps: Sequence[int | None]
    last_duration: int
    interlaced: bool
    first: VideoFrame | None = None

    @property
    def pictures(self) -> int:
        """The number of pictures."""
        return len(self.stamps)


def shown_by_packets(scanned: Scan) -> Shown | None:
    """The pictures by the packets alone; None if that is not certain."""
    packets = scanned.packets
    if not packets or not packets[0].key or any(packet.pictures not in (0, 1) for packet in packets):
        return None
    times = [packet.decode_stamp for packet in packets if packet.decode_stamp is not None]
    if any(later < earlier for earlier, later in itertools.pairwise(times)):
        return None  # several recordings in a row: only decoding shows which picture a time stamp belongs to
    shown = [p for p in packets if p.pictures and not p.discarded and not _leads(p, packets[0])]
    if not shown:
        return Shown((), 0, False)
    last = max(shown, key=lambda packet: packet.stamp or 0)
    return Shown([packet.stamp for packet in shown], last.duration, interlaced=False)


def shown_by_decoding(path: Path) -> Shown:
    """The pictures by decoding the whole video once; damage is reported later by the reader, which names the place.

    Raises:
        DataError: if the file can't be opened.
    """
    stamps: list[tuple[int | None, int | None]] = []
    interlaced, first, last, end, packets = False, None, 0, None, 0
    with open_video(path) as (container, stream):
        decoder = Decoder(stream)
        for packet in container.demux(stream):
            frames, _ = decoder.step(packet)
            packets += packet.size > 0
            if packet.size == 0 and packet.pts is not None:
                end = packet.pts + (packet.duration or 0)
            for frame in frames:
                first = first or frame
                stamps.append((frame.pts, frame.dts))
                interlaced = interlaced or frame.interlaced_frame
                last = frame.duration or 0
    shown = next((known for known in map(list, zip(*stamps, strict=True)) if _rises(known)), [None] * len(stamps))
    if shown and shown[-1] is not None and end is not None and end > shown[-1] + last:
        last = end - shown[-1]  # empty packets repeat the last picture
    if packets > 1.5 * len(shown) > 1.5 and shown[-1] is not None and shown[-2] is not None:
        last = max(last, shown[-1] - shown[-2])  # a packet's duration is that of a field, half a picture
    return Shown(shown, last, interlaced, first)


def _rises(stamps: Sequence[int | None]) -> bool:
    known = [stamp for stamp in stamps if stamp is not None]
    return len(known) == len(stamps) and all(a < b for a, b in itertools.pairwise(known))


def _leads(packet: Piece, first: Piece) -> bool:
    """Whether a picture is shown before the first one in the file (Matroska then has no stamp for it). It can't be
    decoded, because it refers to pictures that a cut between key frames removed; players don't show it, either."""
    if first.sure or first.stamp is None:
        return False
    return packet.stamp is None or packet.stamp < first.stamp
