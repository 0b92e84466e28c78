"""Shards of one run that work in the same folder: what each has made, and which may run at the same time."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from data_prep.tree.layout import SHARDS
from data_prep.tree.shard import Shard, files_of_shards, shard_of_file
from groundwork.errors import UsageError
from groundwork.lock import is_being_written, one_at_a_time, only_writer, shared_run

JOURNAL_OF_SHARD = "videos.jsonl"  # OUT/.shards/videos-3-of-16.jsonl: one line per video that shard 3/16 has made
_BEGINNING = "begin"  # while a shard checks whether it may run, no other one begins


def shard_journal(out: Path, shard: Shard) -> Path:
    """The file in which a shard records the videos it has made."""
    return out / SHARDS / shard.file_name(JOURNAL_OF_SHARD)


def journals_of_shards(out: Path) -> list[Path]:
    """The records of all shards that have worked in this folder since they were last joined."""
    return list(files_of_shards(out / SHARDS, JOURNAL_OF_SHARD).values())


@contextmanager
def begin_shard(out: Path, shard: Shard) -> Iterator[None]:
    """Lock a shard of OUT while the block runs. Other shards of the same count may run at the same time.

    Raises:
        UsageError: if this shard is running already, or one of another count, which would share videos with it, or a
            run without shards.
    """
    journal = shard_journal(out, shard)
    with ExitStack() as held:
        held.enter_context(shared_run(out))
        journal.parent.mkdir(exist_ok=True)
        with one_at_a_time(journal.with_name(_BEGINNING), f"shard {shard}"):
            if (other := _running(journal.parent, besides=shard.count)) is not None:
                raise UsageError(
                    f"{out}: shard {other} is running here, so shard {shard} can't: their videos overlap."
                    f" Wait until it ends, or use shards of {other.count}."
                )
            if is_being_written(journal):
                raise UsageError(f"{out}: shard {shard} is already running here. Give each job a different number.")
            held.enter_context(only_writer(journal, f"{out}: shard {shard}"))
        yield


def _running(folder: Path, *, besides: int) -> Shard | None:
    """A shard that is running now, of another count; None if there is none, or on a file system without locks."""
    for path in sorted(folder.glob(".*")):  # their lock files
        shard = shard_of_file(Path(path.name.removeprefix(".").split("~")[0]), JOURNAL_OF_SHARD)
        if shard is None or shard.count == besides:
            continue
        if is_being_written(folder / shard.file_name(JOURNAL_OF_SHARD)):
            return shard
    return None
