"""Which readers there are, what to install for each, and what each one is called in a manifest."""

import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module, metadata
from pathlib import Path
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from data_prep.video.framing import Picture
from data_prep.video.info import VideoInfo
from groundwork.errors import UsageError

DEFAULT_READER = "pyav"


class OpenedVideo(Protocol):
    """One video, opened by one reader."""

    @property
    def count(self) -> int:
        """How many pictures this reader finds in it."""

    def pictures(self, numbers: NDArray[np.int64]) -> Iterator[Picture]:
        """Give the pictures of these numbers (from 0, rising), upright, at the size that was asked for, in RGB."""


class ReaderModule(Protocol):
    """What a reader's module holds."""

    def open_pictures(self, path: Path, info: VideoInfo, size: tuple[int, int]) -> OpenedVideo:
        """Open a video for pictures of (width, height) pixels, scaled inside the decoder."""

    def cannot_show(self, info: VideoInfo) -> str:
        """What of this video the reader would show wrongly, such as `interlaced video`; empty if nothing."""


@dataclass(frozen=True)
class Reader:
    """One reader.

    Attributes:
        name: as `--reader` takes it.
        module: ours, that holds its adapter; "" for PyAV, which `decoding` is built on.
        package: what it imports.
        distributions: names under which that package is installed, in the order in which they are looked for.
        install: the command that installs it, and where.
    """

    name: str
    module: str
    package: str
    distributions: tuple[str, ...]
    install: str

    def require(self) -> None:
        """See that it is installed; nothing is imported, for torchcodec's import of torch takes seconds.

        Raises:
            UsageError: if it is not.
        """
        if importlib.util.find_spec(self.package) is None:
            raise UsageError(f"--reader {self.name}: not installed. Run: {self.install}")

    def version(self) -> str:
        """Name and version, as a manifest has it: `decord 0.6.0`.

        Raises:
            UsageError: if it is not installed.
        """
        self.require()
        spec = importlib.util.find_spec(self.package)
        origin = Path(spec.origin or "").resolve() if spec is not None else None
        for name in self.distributions:  # of two that hold one package, that which is imported
            with suppress(metadata.PackageNotFoundError):
                found = metadata.distribution(name)
                if Path(str(found.locate_file(f"{self.package}/__init__.py"))).resolve() == origin:
                    return f"{name} {found.version}"
        return f"{self.name} of unknown version"

    def adapter(self) -> ReaderModule:
        """Its module."""
        return cast(ReaderModule, import_module(self.module))


READERS: Mapping[str, Reader] = {
    "pyav": Reader("pyav", "", "av", ("av",), "python -m pip install av"),
    "decord": Reader(
        "decord",
        "data_prep.video.readers.by_decord",
        "decord",
        ("decord", "decord2"),
        "python -m pip install decord (on x86-64 Linux and Windows; elsewhere decord2)",
    ),
    "torchcodec": Reader(
        "torchcodec",
        "data_prep.video.readers.by_torchcodec",
        "torchcodec",
        ("torchcodec",),
        "python -m pip install torchcodec (the release that fits your torch; it needs FFmpeg's shared libraries)",
    ),
}


def reader_named(name: str) -> Reader:
    """The reader of that name.

    Raises:
        UsageError: if there is none; it lists those there are.
    """
    if name not in READERS:
        raise UsageError(f"no reader {name!r}; there are {', '.join(READERS)}.")
    return READERS[name]
