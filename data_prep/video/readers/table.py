"""The table of readers: what to install for each, and what each is called in a manifest."""

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
        """Yield the pictures with these numbers (from 0, ascending), upright, at the requested size, in RGB."""


class ReaderModule(Protocol):
    """The functions of a reader's module."""

    def open_pictures(self, path: Path, info: VideoInfo, size: tuple[int, int]) -> OpenedVideo:
        """Open a video for pictures of (width, height) pixels, scaled inside the decoder."""

    def cannot_show(self, info: VideoInfo) -> str:
        """A property of this video that the reader would show wrongly, such as `interlaced video`; "" if none."""


@dataclass(frozen=True)
class Reader:
    """One reader.

    Attributes:
        name: its name for `--reader`.
        module: the kit's module with its adapter; "" for PyAV, which `decoding` uses.
        package: the package that it imports.
        distributions: the distributions that may provide that package, in the order of search.
        install: the command that installs it, and for which systems.
    """

    name: str
    module: str
    package: str
    distributions: tuple[str, ...]
    install: str

    def require(self) -> None:
        """Require that it is installed; does not import it, because torchcodec's import of torch takes seconds.

        Raises:
            UsageError: if it is not installed.
        """
        if importlib.util.find_spec(self.package) is None:
            raise UsageError(f"--reader {self.name}: not installed. Run: {self.install}")

    def version(self) -> str:
        """Name and version for a manifest: `decord 0.6.0`.

        Raises:
            UsageError: if it is not installed.
        """
        self.require()
        spec = importlib.util.find_spec(self.package)
        origin = Path(spec.origin or "").resolve() if spec is not None else None
        for name in self.distributions:  # if two provide the package, find the one that is imported
            with suppress(metadata.PackageNotFoundError):
                found = metadata.distribution(name)
                if Path(str(found.locate_file(f"{self.package}/__init__.py"))).resolve() == origin:
                    return f"{name} {found.version}"
        return f"{self.name} (unknown version)"

    def adapter(self) -> ReaderModule:
        """Its adapter module."""
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
        UsageError: if there is no such reader; lists the known ones.
    """
    if name not in READERS:
        raise UsageError(f"no reader {name!r}; choose from {', '.join(READERS)}.")
    return READERS[name]
