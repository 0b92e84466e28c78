"""The layout of a data set, and the request that it gets."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from data_prep.making.picture_folders import PictureFolders
from groundwork.errors import UsageError


@dataclass(frozen=True)
class LayoutRequest:
    """One folder to read.

    Attributes:
        source: SRC, a folder. Nothing is written there.
        user: the name of the data set; "" for the folder's name.
        clutter_from: a split whose pictures become clutter; "" for none.
        list_file: the list to use; None for the data set's own list in SRC.
        scratch: an empty folder for unpacked data; it is removed when the frames are made.
    """

    source: Path
    user: str
    clutter_from: str
    list_file: Path | None
    scratch: Path


@dataclass(frozen=True)
class Layout:
    """One file layout of data sets.

    Attributes:
        name: its name for `--layout`.
        reads: the files that it reads, described for the user.
        read: finds the pictures; does not open separate picture files.
        takes_list: whether it accepts `--list-file`.
        needs_list: whether it requires `--list-file`.
        takes_clutter: whether a split can become clutter.
    """

    name: str
    reads: str
    read: Callable[[LayoutRequest], PictureFolders]
    takes_list: bool = False
    needs_list: bool = False
    takes_clutter: bool = False

    def read_checked(self, request: LayoutRequest) -> PictureFolders:
        """Find the pictures.

        Raises:
            UsageError: if an option can't be used with this layout, or its files are missing.
            DataError: if a file is damaged or a list does not fit the pictures.
        """
        if request.list_file is not None and not self.takes_list:
            raise UsageError(f"layout {self.name}: reads {self.reads}; it can't be used with --list-file.")
        if self.needs_list and request.list_file is None:
            raise UsageError(f"layout {self.name}: needs --list-file: {self.reads}.")
        if request.clutter_from and not self.takes_clutter:
            raise UsageError(f"layout {self.name}: --clutter-from works only with class folders.")
        return self.read(request)
