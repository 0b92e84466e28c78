from types import SimpleNamespace

import pytest

from data_prep.video.packets import has_only_settings, is_clean_start, pictures_in

AVCC = SimpleNamespace(name="h264", extradata=b"\x01\x64\x00\x1f\xff\xe1")  # lengths of 4 bytes
HVCC = SimpleNamespace(name="hevc", extradata=b"\x01" + bytes(20) + b"\xff\x00")
BARE = SimpleNamespace(name="h264", extradata=b"")
# avcC with a parameter set of x264 for whole frames, and with one of field_coded.py
FRAME_SET = bytes.fromhex("6764000dacd94141fb0110000003001000000303c0f1429960")
FIELD_SET = bytes.fromhex("674d001eda11142000000300200000065080")
FRAMES = SimpleNamespace(name="h264", extradata=AVCC.extradata + len(FRAME_SET).to_bytes(2, "big") + FRAME_SET)
FIELDS = SimpleNamespace(name="h264", extradata=AVCC.extradata + len(FIELD_SET).to_bytes(2, "big") + FIELD_SET)
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
def test_only_an_idr_picture_is_a_clean_start(content, context, fresh):
    assert is_clean_start(content, context) == fresh


@pytest.mark.parametrize(
    ("content", "context", "pictures"),
    [
        (packed(b"\x65\x88abc"), FRAMES, 1),
        (packed(b"\x65\x88abc", b"\x65\x08abc"), FRAMES, 1),  # a second slice of the same picture
        (packed(b"\x65\x88abc"), FIELDS, None),
        (packed(PARAMETERS), AVCC, None),  # settings that can't be read
        (packed(b"\x06abc"), FRAMES, 0),
        (packed(b"\x26\x01\x80abc"), HVCC, 1),
        (packed(b"\x26\x09\x80abc"), HVCC, 0),  # another layer
        (b"\x10abc", SimpleNamespace(name="vp8"), 1),
        (b"\x00abc", SimpleNamespace(name="vp8"), 0),
        (b"\x86abc", SimpleNamespace(name="vp9"), 1),
        (b"\x84abc", SimpleNamespace(name="vp9"), 0),
        (b"\x84ab\x86abc\xc1\x03\x04\xc1", SimpleNamespace(name="vp9"), 1),  # a superframe of two frames
        (b"anything", SimpleNamespace(name="libdav1d"), 1),
        (b"anything", SimpleNamespace(name="mpeg4"), None),
    ],
)
def test_pictures_that_a_packet_shows(content, context, pictures):
    assert pictures_in(content, context) == pictures


def test_settings_alone_are_not_a_picture():
    assert has_only_settings(packed(PARAMETERS), AVCC)
    assert not has_only_settings(packed(PARAMETERS, IDR), AVCC)
    assert not has_only_settings(b"anything", OTHER)
