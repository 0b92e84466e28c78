"""PyAV's rational numbers, in the type of either version."""

from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction

import av
import pytest

from data_prep.video import probing
from data_prep.video.rationals import as_fraction


@dataclass(frozen=True)
class AVRational:
    """As in PyAV 19 (av/rational.pyi): `num`, `den` and their longer names; false where nothing is stated. It has no
    arithmetic here, so that code which relies on the type's own fails."""

    num: int
    den: int

    @property
    def numerator(self) -> int:
        return self.num

    @property
    def denominator(self) -> int:
        return self.den


@pytest.mark.parametrize("kind", [Fraction, AVRational])
def test_either_type_becomes_a_fraction(kind):
    found = as_fraction(kind(30_000, 1001))
    assert found == Fraction(30_000, 1001)
    assert type(found) is Fraction


@pytest.mark.parametrize("nothing", [None, Fraction(0), AVRational(0, 1), AVRational(0, 0), AVRational(1, 0)])
def test_what_a_file_does_not_state_is_none(nothing):
    assert as_fraction(nothing) is None


class Stream:
    """A real stream, whose rational numbers have PyAV 19's type."""

    def __init__(self, stream: av.VideoStream) -> None:
        self.real = stream

    def __getattr__(self, name: str) -> object:
        found = getattr(self.real, name)
        if name in ("average_rate", "time_base", "sample_aspect_ratio", "guessed_rate", "base_rate"):
            return AVRational(0, 1) if found is None else AVRational(found.numerator, found.denominator)
        return found


def test_a_video_is_probed_the_same_with_either_type(encode_video, tmp_path, monkeypatch):
    video = encode_video(tmp_path / "video.mp4", pictures=12)
    by_fraction = probing._probe.__wrapped__(video, 0, 0)
    open_video, scan = probing.open_video, probing.scan

    @contextmanager
    def opened(path):
        with open_video(path) as (container, stream):
            yield container, Stream(stream)

    monkeypatch.setattr(probing, "open_video", opened)
    monkeypatch.setattr(probing, "scan", lambda path, container, stream: scan(path, container, stream.real))
    assert probing._probe.__wrapped__(video, 0, 0) == by_fraction
    assert by_fraction.times_s[1] == pytest.approx(1 / 30, abs=1e-4)
