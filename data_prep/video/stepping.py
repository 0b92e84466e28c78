"""A decoder, one packet at a time: the pictures that come out, and what it says of damage."""

import av
from av import Packet, VideoFrame, VideoStream

from data_prep.video.damage import decoder_lines, tells_of_damage
from data_prep.video.packets import holds_settings_alone

# Its decoder shows something all the same, and takes the first key frame for one amid others: an open group's first
# pictures then look back to what isn't there.
_KEY_FRAME_FIRST = ("hevc",)


class Decoder:
    """The decoder of one open stream, from its first packet or from a jump on.

    Before the first key frame nothing can be decoded (a recording that begins in the midst of a broadcast), and what
    libav says of it is no damage. A packet without a picture of its own (settings alone, an empty one that repeats the
    picture before) is none either.
    """

    def __init__(self, stream: VideoStream) -> None:
        """Nothing is decoded yet."""
        self._context = stream.codec_context
        self._started = False

    def step(self, packet: "Packet[VideoStream]") -> tuple[list[VideoFrame], list[str]]:
        """Give the frames that a packet completes, in showing order, and what tells of damage, in libav's words.

        Args:
            packet: the stream's next one; the last one, which holds nothing, empties the decoder.
        """
        if is_empty(packet):
            return [], []
        self._started = self._started or packet.is_keyframe
        if not self._started and self._context.name in _KEY_FRAME_FIRST:
            return [], []
        failed = ""
        frames: list[VideoFrame] = []
        with decoder_lines() as log:
            try:
                frames = packet.decode()
            except av.error.FFmpegError as error:
                failed = error.strerror or str(error)
        if not self._started or (log and packet.size and holds_settings_alone(bytes(packet), self._context)):
            self._started = self._started or bool(frames)
            return frames, []
        codec = self._context.name
        told = [text.strip() for level, source, text in log if tells_of_damage(level, source, text, codec)]
        told += [failed] if failed and not told else []
        told += ["parts of it were filled in" for frame in frames if frame.is_corrupt]
        return frames, told


def is_empty(packet: "Packet[VideoStream]") -> bool:
    """Whether a packet repeats the picture before it (Theora) or holds nothing: not the last one of a stream, which
    holds nothing either and has no time."""
    return packet.size == 0 and packet.dts is not None
