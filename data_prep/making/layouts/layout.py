"""What a layout of a data set is, and what it is asked."""

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
        user: the set's name; "" for the folder's.
        clutter_from: a split whose pictures become clutter; "" for none.
        list_file: the list to go by; None for the set's own in SRC.
        scratch: an empty folder for what has to be unpacked; it is removed once the frames are made.
    """

    source: Path
    user: str
    clutter_from: str
    list_file: Path | None
    scratch: Path


@dataclass(frozen=True)
class Layout:
    """One way to lay out a data set.

    Attributes:
        name: what `--layout` calls it.
        reads: the files that it goes by, for people.
        read: finds the pictures; opens none that has a file of its own.
        takes_list: whether it goes by `--list-file`.
        needs_list: whether there is nothing to read without one.
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
            UsageError: for options that do not go with this layout, or where its files are missing.
            DataError: if a file is damaged or a list does not fit the pictures.
        """
        if request.list_file is not None and not self.takes_list:
            raise UsageError(f"layout {self.name}: reads {self.reads}; --list-file does not go with it.")
        if self.needs_list and request.list_file is None:
            raise UsageError(f"layout {self.name}: --list-file is missing: {self.reads}.")
        if request.clutter_from and not self.takes_clutter:
            raise UsageError(f"layout {self.name}: --clutter-from goes with class folders alone.")
        return self.read(request)
