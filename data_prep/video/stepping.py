"""Decodes one packet at a time: gives its pictures, and signs of damage."""

import av
from av import Packet, VideoFrame, VideoStream

from data_prep.video.damage import decoder_lines, tells_of_damage
from data_prep.video.packets import has_only_settings

# This decoder shows pictures even before a key frame, and then treats the first key frame as one of many: the first
# pictures of an open group then refer to missing pictures.
_KEY_FRAME_FIRST = ("hevc",)


class Decoder:
    """The decoder of one open stream, from its first packet or from the position of a seek.

    Nothing can be decoded before the first key frame (as in a recording that begins in the middle of a broadcast), and
    libav's messages about that are not signs of damage. Neither are those about a packet without a picture of its own
    (only settings, or an empty packet that repeats the previous picture).
    """

    def __init__(self, stream: VideoStream) -> None:
        """Decode nothing yet."""
        self._context = stream.codec_context
        self._started = False

    def step(self, packet: "Packet[VideoStream]") -> tuple[list[VideoFrame], list[str]]:
        """Decode a packet; gives the frames that it completes, in display order, and signs of damage, in libav's words.

        Args:
            packet: the next packet of the stream; the last one, which is empty, flushes the decoder.
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
        if not self._started or (log and packet.size and has_only_settings(bytes(packet), self._context)):
            self._started = self._started or bool(frames)
            return frames, []
        codec = self._context.name
        damage = [text.strip() for level, source, text in log if tells_of_damage(level, source, text, codec)]
        damage += [failed] if failed and not damage else []
        damage += ["parts of it were filled in" for frame in frames if frame.is_corrupt]
        return frames, damage


def is_empty(packet: "Packet[VideoStream]") -> bool:
    """Whether a packet is empty or repeats the previous picture (Theora); False for the last packet of a stream, which
    is empty and has no time stamp."""
    return packet.size == 0 and packet.dts is not None
