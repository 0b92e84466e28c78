"""Real videos for the tests of data_prep, encoded here; the gray level of every picture encodes its number."""

import itertools
import struct
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

TICKS_A_SECOND = 90_000
CODED_LEVELS = (32, 5, 38)  # picture k is gray 32 + 5 * (k % 38), so neighbors are 5 levels apart


def level_of(picture_number: int) -> int:
    """The gray level that picture k is drawn in."""
    base, step, period = CODED_LEVELS
    return base + step * (picture_number % period)


def _draw(number: int, width: int, height: int) -> np.ndarray:
    """Gray by number, with a red mark at the top left, so that rotated pictures can be recognized."""
    picture = np.full((height, width, 3), level_of(number), dtype=np.uint8)
    picture[: height // 4, : width // 4] = (220, 20, 20)
    return picture


def encode(
    path: Path,
    *,
    size: tuple[int, int] = (128, 96),
    times_s: Sequence[float] | None = None,
    pictures: int = 40,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    rotation: int = 0,
) -> Path:
    """Encode a small video; `times_s` (default: 30 fps) are the time stamps. Returns `path`."""
    stamps = [k / 30 for k in range(pictures)] if times_s is None else times_s
    usual = {
        "libx264": {"g": "10", "bf": "2", "crf": "12", "sc_threshold": "0"},
        "libx265": {"x265-params": "log-level=none:keyint=10"},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=30, options={**usual[codec], **(options or {})})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.time_base = Fraction(1, TICKS_A_SECOND)
        for number, stamp in enumerate(stamps):
            frame = av.VideoFrame.from_ndarray(_draw(number, *size), format="rgb24")
            frame.pts, frame.time_base = round(stamp * TICKS_A_SECOND), Fraction(1, TICKS_A_SECOND)
            frame.duration = TICKS_A_SECOND // 30
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    if rotation:
        _write_rotation(path, rotation)
    return path


# Saturated patches, so that a wrong matrix or range shows: 4 columns, 2 rows
PATCHES = (
    (220, 20, 20),
    (20, 200, 30),
    (20, 30, 210),
    (235, 225, 30),
    (25, 210, 220),
    (215, 30, 200),
    (250, 250, 250),
    (4, 4, 4),
)


def draw_patches(width: int, height: int) -> np.ndarray:
    """PATCHES in a grid of 4 x 2."""
    grid = np.array(PATCHES, dtype=np.uint8).reshape(2, 4, 3)
    return grid.repeat(height // 2, axis=0).repeat(width // 4, axis=1)


def encode_colors(
    path: Path,
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    tags: tuple[int, int, int] = (2, 2, 2),
    drawn_with: int = 5,
    full_range: bool = False,
    size: tuple[int, int] = (256, 128),
    pictures: int = 12,
) -> Path:
    """Encode `draw_patches`, nearly without loss.

    Args:
        tags: primaries, transfer and matrix to write (ITU-T H.273; 2 is unstated).
        drawn_with: the matrix to really use, as libav's scaler counts: 1 BT.709, 5 BT.601, 7 SMPTE 240M, 9 BT.2020.
    """
    options = {
        "libx264": {"g": "10", "crf": "4"},
        "libx265": {"x265-params": "log-level=none:keyint=10:open-gop=0:crf=4" + (":range=full" if full_range else "")},
    }
    color_range = 2 if full_range else 1
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=30, options=options[codec])
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace = tags
        context.color_range = color_range
        for number in range(pictures):
            drawn = av.VideoFrame.from_ndarray(draw_patches(*size), format="rgb24")
            frame = drawn.reformat(format=pix_fmt, dst_colorspace=drawn_with, dst_color_range=color_range)
            frame.color_primaries, frame.color_trc, frame.colorspace = tags
            frame.color_range = color_range
            frame.pts, frame.time_base = number, Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _write_rotation(path: Path, degrees: int) -> None:
    """Set the display matrix of an MP4's track: turn clockwise by `degrees` to show (ISO 14496-12, 8.3.2)."""
    content = bytearray(path.read_bytes())
    a, b, c, d = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}[degrees]
    matrix = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    start = content.index(b"tkhd") + 4 + 40
    content[start : start + len(matrix)] = matrix
    path.write_bytes(bytes(content))


@pytest.fixture(scope="session")
def encode_video() -> Callable[..., Path]:
    return encode


@pytest.fixture(scope="session")
def turn_video() -> Callable[[Path, int], None]:
    return _write_rotation


@pytest.fixture(scope="session")
def encode_patches() -> Callable[..., Path]:
    return encode_colors


@pytest.fixture(scope="session")
def patches() -> np.ndarray:
    """Their colors, shape (8, 3), in the order of the grid."""
    return np.array(PATCHES)


@pytest.fixture(scope="session")
def gray_level() -> Callable[[int], int]:
    return level_of


@pytest.fixture(scope="session")
def second_decoder() -> Callable[[Path, tuple[int, int]], np.ndarray]:
    """All pictures of a video, in order, scaled to (width, height), by decord,
    which has its own libav, independent of PyAV.

    It is right where groups are closed, in MP4 (it passes over Matroska's rotation), and at widths such as 90, 112 or
    224 (it misreads rows of 72 px). Damage it passes over.
    """
    import cv2  # noqa: F401  # import before decord: otherwise cv2.imread gives None for a PNG

    decord = pytest.importorskip("decord", reason="decord, the second decoder, is not installed (x86-64 Linux has it)")

    def read(path: Path, size: tuple[int, int]) -> np.ndarray:
        reader = decord.VideoReader(str(path), width=size[0], height=size[1], num_threads=1)
        return reader.get_batch(range(len(reader))).asnumpy()

    return read


@pytest.fixture(scope="session")
def tree_bytes() -> Callable[[Path], dict[str, bytes]]:
    """Every file of a tree that is not hidden, by its relative path."""

    def read(root: Path) -> dict[str, bytes]:
        files = (path for path in sorted(root.rglob("*")) if path.is_file())
        return {p.relative_to(root).as_posix(): p.read_bytes() for p in files if not p.name.startswith(".")}

    return read


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keeps tests from reading and writing the user's own cache."""
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    return cache


@pytest.fixture(scope="session")
def small_raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A raw tree of five videos, two users, one with a space in an object's name. Do not write into it."""
    root = tmp_path_factory.mktemp("small") / "raw"
    places = ["ann/my keys/clean/one.mp4", "ann/my keys/clutter/two.mp4", "ann/cup/clean/three.mov"]
    places += ["ben/cup/clean/four.mp4", "ben/cup/clean/five.mp4"]
    for place, pictures in zip(places, itertools.count(20), strict=False):
        encode(root / place, pictures=pictures)
    return root
