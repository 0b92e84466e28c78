"""How a video's colours are coded, in words, and which codings can't be read.

Nothing here converts: a decoder's own matrix makes RGB, and no tone mapping is applied, so HLG and PQ pictures come out
flat, as coded. An 8-bit frame of them is dimmer and paler than what the phone showed.
"""

from av import VideoFrame

# Numbers of ITU-T H.273, as libav has them
_TRANSFERS = {16: "PQ", 18: "HLG"}  # table 3; all others are SDR
_BT2020_PRIMARIES = 9  # table 2
_BT2020_MATRICES = {9, 10}  # table 4
# Matrices that libav's scaler applies: RGB, BT.709, unstated, FCC, BT.601 (two), SMPTE 240M, BT.2020. Of the others it
# refuses all that were tried (YCgCo, BT.2020 with constant luminance); an older libav showed them in wrong colours.
_READABLE_MATRICES = {0, 1, 2, 4, 5, 6, 7, 9}


def describe_colour(frame: VideoFrame) -> str:
    """Transfer, wide primaries and bits of a PyAV frame: `SDR 8-bit`, `HLG BT.2020 10-bit`, `PQ BT.2020 10-bit`, …"""
    wide = frame.color_primaries == _BT2020_PRIMARIES or frame.colorspace in _BT2020_MATRICES
    parts = [
        _TRANSFERS.get(frame.color_trc, "SDR"),
        "BT.2020" if wide else "",
        f"{frame.format.components[0].bits}-bit",
    ]
    return " ".join(part for part in parts if part)


def is_readable(frame: VideoFrame) -> bool:
    """Whether the decoder knows the matrix that makes RGB of a PyAV frame."""
    return frame.colorspace in _READABLE_MATRICES
