"""H.264 with each picture's two fields in separate packets, as AVCHD cameras write it; no available encoder does.

Every macroblock is stored as its samples (I_PCM), so that a stream is a few headers (ITU-T H.264, 7.3) and gray bytes.
"""

from pathlib import Path

WIDTH, HEIGHT = 64, 64  # of a frame; a field has half the lines


class _Bits:
    def __init__(self) -> None:
        self.text = ""

    def put(self, value: int, width: int) -> "_Bits":
        self.text += f"{value:0{width}b}"
        return self

    def ue(self, value: int) -> "_Bits":
        code = f"{value + 1:b}"
        self.text += "0" * (len(code) - 1) + code
        return self

    def aligned(self) -> "_Bits":
        self.text += "0" * (-len(self.text) % 8)
        return self

    def ended(self) -> bytes:
        self.put(1, 1).aligned()
        return int(self.text, 2).to_bytes(len(self.text) // 8, "big")


def _unit(head: int, content: bytes) -> bytes:
    escaped = bytearray()
    for byte in content:
        if byte <= 3 and escaped[-2:] == b"\0\0":
            escaped.append(3)
        escaped.append(byte)
    return b"\0\0\0\1" + bytes([head]) + bytes(escaped)


def _settings() -> bytes:
    sequence = _Bits().put(77, 8).put(0, 8).put(30, 8).ue(0).ue(0).ue(2).ue(1).put(0, 1)
    sequence.ue(WIDTH // 16 - 1).ue(HEIGHT // 32 - 1).put(0, 1).put(0, 1)  # frame_mbs_only_flag, adaptive: 0
    sequence.put(1, 1).put(0, 1)  # direct_8x8, no cropping
    sequence.put(1, 1).put(0, 4).put(1, 1).put(1, 32).put(50, 32).put(1, 1).put(0, 4)  # 25 frames per second
    picture = _Bits().ue(0).ue(0).put(0, 2).ue(0).ue(0).ue(0).put(0, 3).ue(0).ue(0).ue(0).put(0, 3)
    return _unit(0x67, sequence.ended()) + _unit(0x68, picture.ended())


def _field(number: int, bottom: bool, gray: int) -> bytes:
    first = number == 0 and not bottom
    bits = _Bits().ue(0).ue(7).ue(0).put(number % 16, 4).put(1, 1).put(bottom, 1)
    if first:
        bits.ue(0).put(0, 2)
    else:
        bits.put(0, 1)
    bits.ue(0)  # slice_qp_delta
    for _ in range(WIDTH // 16 * HEIGHT // 32):
        bits.ue(25).aligned()
        bits.text += f"{gray:08b}" * 256 + f"{128:08b}" * 128
    return _unit(0x65 if first else 0x61, bits.ended())


def write(path: Path, frames: int) -> Path:
    """Writes a bare stream: frame k is gray 40 + 5 k in its upper field, and 5 levels brighter in its lower field."""
    content = b""
    for number in range(frames):
        content += b"\0\0\0\1\x09\x10" + (_settings() if number == 0 else b"")
        content += _field(number, False, 40 + 5 * number) + b"\0\0\0\1\x09\x10" + _field(number, True, 45 + 5 * number)
    path.write_bytes(content)
    return path
