"""The JPEG files of one video, from a frame tree or a packed one: the same names and bytes from both."""

from collections.abc import Iterator
from pathlib import Path

from data_prep.tree.index import VideoRow
from data_prep.tree.layout import frame_file_name
from data_prep.tree.packed import PackedUser, archive_place
from groundwork.errors import DataError


def stored_frames(root: Path, row: VideoRow) -> Iterator[tuple[str, bytes]]:
    """A video's frames in order: the path of the file, for errors, and its bytes.

    Raises:
        DataError: if a frame in the index can't be read.
    """
    places = [f"{root / row.path}/{frame_file_name(row.video, number)}" for number in range(1, row.frames + 1)]
    archive, inside = archive_place(row.path)
    if inside:
        with PackedUser(root / archive) as user:
            for number, place in enumerate(places, start=1):
                yield place, user.read(inside, number)
        return
    for place in places:
        try:
            content = Path(place).read_bytes()
        except OSError as error:
            raise DataError(
                f"{place}: can't be read ({error.strerror}). Run 'orbit-lite prep verify {root}'."
            ) from None
        yield place, content
