"""A share of a tree's videos, for array jobs on a cluster: each job works on one shard, in the same folder."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Self

from data_prep.tree.layout import nfc
from groundwork.errors import UsageError

MOST_SHARDS = 1000  # joining the tables of `quality` opens one file per shard
EXPECTED = f"expected a shard I/N with I from 1 to N and N up to {MOST_SHARDS}, such as 3/16"

_TEXT = re.compile(r"([0-9]{1,6})/([0-9]{1,6})")
_IN_FILE_NAME = re.compile(r"-([0-9]{1,6})-of-([0-9]{1,6})")


@dataclass(frozen=True, order=True)
class Shard:
    """Shard `number` of `count`, 1 <= number <= count <= MOST_SHARDS.

    Raises:
        UsageError: for other numbers.
    """

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count <= MOST_SHARDS:
            raise UsageError(f"{EXPECTED}, got {self}")

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The shard that is written as `I/N`.

        Raises:
            UsageError: if the text has another form, or there is no such shard.
        """
        if (match := _TEXT.fullmatch(text)) is None:
            raise UsageError(f"{EXPECTED}, got {text!r}")
        return cls(int(match[1]), int(match[2]))

    def owns(self, place: str) -> bool:
        """Whether the video at this place belongs to this shard."""
        return shard_of_video(place, self.count) == self

    def file_name(self, name: str) -> str:
        """The name of this shard's own part of a file: `videos-3-of-16.csv` for `videos.csv`."""
        path = PurePath(name)
        return f"{path.stem}-{self.number}-of-{self.count}{path.suffix}"


def shard_of_video(place: str, count: int) -> Shard:
    """The shard, of `count` shards, that a video belongs to.

    It depends only on `place`, not on other videos, the machine, or what has been made already.
    """
    digest = hashlib.sha256(nfc(place).encode(errors="surrogateescape")).digest()
    return Shard(int.from_bytes(digest[:8], "big") % count + 1, count)


def shard_of_file(path: PurePath, name: str) -> Shard | None:
    """The shard whose part of the file `name` a path is, by its file name; None if it is not such a part."""
    whole = PurePath(name)
    if path.suffix != whole.suffix or not path.stem.startswith(whole.stem):
        return None
    match = _IN_FILE_NAME.fullmatch(path.stem.removeprefix(whole.stem))
    if match is None or not 1 <= int(match[1]) <= int(match[2]) <= MOST_SHARDS:
        return None
    shard = Shard(int(match[1]), int(match[2]))
    return shard if shard.file_name(name) == path.name else None


def files_of_shards(folder: Path, name: str) -> dict[Shard, Path]:
    """The parts of the file `name` in a folder, which need not exist, in the order of their shards."""
    found = {shard: path for path in folder.glob("*") if (shard := shard_of_file(path, name)) is not None}
    return dict(sorted(found.items()))
