"""Reads from H.264's sequence parameter set (ITU-T H.264, 7.3.2.1) whether pictures may be coded as two fields."""

from functools import lru_cache

_HIGH_PROFILES = {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135}


@lru_cache(maxsize=256)  # a stream repeats its few sets many times
def frames_only(unit: bytes) -> bool:
    """Whether every picture is coded as a whole frame (frame_mbs_only_flag).

    Args:
        unit: the NAL unit, from its first byte on.

    Raises:
        ValueError: if it ends too early.
    """
    bits = _Bits(unit[1:].replace(b"\x00\x00\x03", b"\x00\x00"))
    profile = bits.read(8)
    bits.read(16)  # constraints, level
    bits.exp_golomb()
    if profile in _HIGH_PROFILES:
        chroma = bits.exp_golomb()
        if chroma == 3:
            bits.read(1)
        bits.exp_golomb()
        bits.exp_golomb()
        bits.read(1)
        if bits.read(1):
            for number in range(8 if chroma != 3 else 12):
                if bits.read(1):
                    _skip_scaling_list(bits, 16 if number < 6 else 64)
    bits.exp_golomb()
    order = bits.exp_golomb()
    if order == 0:
        bits.exp_golomb()
    elif order == 1:
        bits.read(1)
        bits.exp_golomb()  # signed, but of equal length
        bits.exp_golomb()
        for _ in range(bits.exp_golomb()):
            bits.exp_golomb()
    bits.exp_golomb()
    bits.read(1)
    bits.exp_golomb()
    bits.exp_golomb()
    return bool(bits.read(1))


def _skip_scaling_list(bits: "_Bits", size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            code = bits.exp_golomb()
            following = (last + (-(code // 2) if code % 2 == 0 else (code + 1) // 2)) % 256
        last = following or last


class _Bits:
    """A reader of bits, most significant bit first."""

    def __init__(self, content: bytes) -> None:
        self._number = int.from_bytes(content, "big")
        self._left = 8 * len(content)

    def read(self, count: int) -> int:
        if count > self._left:
            raise ValueError("a parameter set that ends too early")
        self._left -= count
        return (self._number >> self._left) & ((1 << count) - 1)

    def exp_golomb(self) -> int:
        zeros = 0
        while not self.read(1):
            zeros += 1
        return (1 << zeros) - 1 + self.read(zeros)
