from types import SimpleNamespace

import pytest

from data_prep.video.packets import has_hole, starts_afresh

AVCC = SimpleNamespace(name="h264", extradata=b"\x01\x64\x00\x1f\xff\xe1")  # lengths of 4 bytes
HVCC = SimpleNamespace(name="hevc", extradata=b"\x01" + bytes(20) + b"\xff\x00")
BARE = SimpleNamespace(name="h264", extradata=b"")
OTHER = SimpleNamespace(name="mjpeg", extradata=b"")

IDR, SLICE, PARAMETERS = b"\x65abc", b"\x41abc", b"\x67abc"
HEVC_IDR, HEVC_CRA = b"\x26\x01abc", b"\x2a\x01abc"


def packed(*units):
    return b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)


def bare(*units):
    return b"".join(b"\x00\x00\x00\x01" + unit for unit in units)


@pytest.mark.parametrize(
    ("content", "context", "fresh"),
    [
        (packed(PARAMETERS, IDR), AVCC, True),
        (packed(PARAMETERS, SLICE), AVCC, False),
        (bare(PARAMETERS, IDR), BARE, True),
        (bare(SLICE), BARE, False),
        (packed(HEVC_IDR), HVCC, True),
        (packed(HEVC_CRA), HVCC, False),
        (b"", AVCC, False),
        (b"anything", OTHER, True),
    ],
)
def test_only_an_idr_picture_starts_afresh(content, context, fresh):
    assert starts_afresh(content, context) == fresh


@pytest.mark.parametrize(
    ("content", "hole"),
    [
        (packed(IDR, SLICE * 100), False),
        (packed(IDR, b"a" * 100 + bytes(70) + b"a" * 100), True),
        (packed(IDR) + bytes(500), False),  # filled up at the end
        (bytes(500), True),
        (bytes(80) + packed(IDR), True),
    ],
    ids=["whole", "within", "filled up", "all", "in front"],
)
def test_zeros_within_a_packet_are_a_hole(content, hole):
    assert has_hole(content, AVCC) == hole
    assert not has_hole(content, OTHER)
    assert not has_hole(content, BARE)  # zeros may stand between start codes
