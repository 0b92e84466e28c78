"""torchcodec: exact seeking by an index of all packets; needs torch, and FFmpeg's shared libraries on the system.

It imports torch, as no other module of data_prep does, so it is imported only on use, in a worker process.
"""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.video.framing import Picture
from data_prep.video.info import VideoInfo
from groundwork.errors import UsageError

SEGMENT_BYTES = 64 * 1024 * 1024  # of pictures decoded at once
MOST_PICTURES = 256


def cannot_show(info: VideoInfo) -> str:
    """See `ReaderModule`."""
    if info.interlaced:
        return "interlaced video"
    if info.orientation.mirrored or info.rotation % 90:
        return "mirrored or slanted video"
    return ""


def open_pictures(path: Path, info: VideoInfo, size: tuple[int, int]) -> "TorchcodecVideo":
    """See `ReaderModule`."""
    return TorchcodecVideo(path, size)


class TorchcodecVideo:
    """One video, which is opened only once."""

    def __init__(self, path: Path, size: tuple[int, int]) -> None:
        """Open the video.

        Raises:
            UsageError: if torchcodec can't be loaded.
        """
        try:
            decoders, transforms = import_module("torchcodec.decoders"), import_module("torchcodec.transforms")
        except (ImportError, OSError, RuntimeError) as error:  # a long message if FFmpeg is missing
            reason = " ".join(str(error).split())[:200]
            raise UsageError(
                f"--reader torchcodec: can't be loaded ({reason}). It needs FFmpeg's shared libraries and the"
                " release that fits your version of torch."
            ) from None
        import_module("torch").set_num_threads(1)  # videos are read in parallel, as elsewhere
        width, height = size
        self._decoder: Any = decoders.VideoDecoder(
            path, dimension_order="NHWC", num_ffmpeg_threads=1, transforms=[transforms.Resize((height, width))]
        )
        self._most = max(1, min(MOST_PICTURES, SEGMENT_BYTES // (width * height * 3)))
        self.count = int(self._decoder.metadata.num_frames or 0)

    def pictures(self, numbers: NDArray[np.int64]) -> Iterator[Picture]:
        """See `OpenedVideo`."""
        for start in range(0, len(numbers), self._most):
            batch = self._decoder.get_frames_at(numbers[start : start + self._most].tolist())
            yield from np.asarray(batch.data.numpy(), dtype=np.uint8)
