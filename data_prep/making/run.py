"""A run that makes a frame tree from another tree, video by video: in parallel, each video's folder whole or not at
all, resuming where it was interrupted. `extract` and `resize` define what is done with one video; the rest is here.
"""

import filecmp
import json
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from data_prep.making.out_folder import refuse_foreign, refuse_foreign_videos, refuse_nested, videos_in
from data_prep.making.shards import begin_shard, journals_of_shards, shard_journal
from data_prep.tree.index import build_index
from data_prep.tree.layout import ANNOTATIONS, MANIFEST_NAME, SHARDS, place_user
from data_prep.tree.shard import Shard
from data_prep.workers.pool import ProcessLost, run_in_workers
from groundwork.cores import default_workers
from groundwork.errors import FULL_DISK, DataError, KitError, UsageError, is_shortage
from groundwork.files import part_path, remove_parts, whole_folder, write_bytes, write_json, write_text
from groundwork.lock import one_at_a_time, only_run
from groundwork.progress import Progress
from groundwork.removal import Root
from groundwork.reporting import report_failed
from groundwork.strict_json import parse_json
from groundwork.strict_model import checked_record, with_current_keys
from groundwork.words import counted, listed, quoted

_LOG = logging.getLogger("data_prep")

JOURNAL_NAME = ".journal.jsonl"  # one line per finished video during a run; at its end they go into the manifest
MANIFEST_SCHEMA = 2
MOST_FRAMES = 100_000_000  # in one video; more than a month of video


class Job(Protocol):
    """One video to make. Picklable."""

    @property
    def relative(self) -> str:
        """The source's path, for reports."""

    @property
    def folder(self) -> Path:
        """The folder to make."""

    @property
    def place(self) -> str:
        """That folder relative to OUT, with `/`: the manifest's key."""

    @property
    def mark(self) -> str:
        """Changes when the source does."""


class Record(Protocol):
    """A video's record in the manifest: a frozen dataclass of plain values that include these two."""

    @property
    def frames(self) -> int: ...

    @property
    def mark(self) -> str: ...


_EARLIER = {"colour": "color"}  # keys that earlier releases wrote, with today's names

JobT = TypeVar("JobT", bound=Job)
RecordT = TypeVar("RecordT", bound=Record)


@dataclass(frozen=True)
class TreeSummary(Generic[RecordT]):
    """What one run did. `skipped` videos existed already; `records` has all videos that exist now, by source."""

    skipped: int
    records: dict[str, RecordT]

    @property
    def videos(self) -> int:
        return len(self.records)

    @property
    def frames(self) -> int:
        return sum(record.frames for record in self.records.values())


@dataclass(frozen=True)
class TreeRun(Generic[JobT, RecordT]):
    """The settings of a run.

    Attributes:
        source: the tree that is read; its annotations are copied.
        out: new, empty, or begun by the same run.
        made_by: the verb and its settings, for the manifest; all videos of OUT have the same.
        make: a top-level function that makes one job's folder, in a worker process.
        record: the class of the records.
        time_limit_s: seconds after which a video counts as failed.
        copies_annotations: whether SOURCE/annotations has annotations to copy.
        removes_stale: whether to remove videos that an earlier run made of the same objects and that have no source any
            more; otherwise they are an error.
        notes: gives notes for the person who filmed, from the records by source, even if some videos failed.
        if_lost: a sentence of advice if a video's process hung or crashed, or "".
    """

    source: Path
    out: Path
    made_by: Mapping[str, Any]
    make: Callable[[JobT], RecordT]
    record: type[RecordT]
    time_limit_s: float
    copies_annotations: bool = True
    removes_stale: bool = False
    notes: Callable[[Mapping[str, RecordT]], Iterator[str]] | None = None
    if_lost: str = ""

    def run(
        self, jobs: Sequence[JobT], *, workers: int | None = None, shard: Shard | None = None
    ) -> TreeSummary[RecordT]:
        """Make what is missing, then write the manifest, the annotations and the index.

        A shard makes only its own videos and records them in a separate file; other shards of the same count may run at
        the same time. A run without a shard then finds these videos and joins the records.

        Args:
            jobs: all videos of the tree, for a shard, too.
            workers: processes; by default one per core.
            shard: the share of the videos to make; None for all.

        Raises:
            UsageError: OUT holds something else, or another run is writing it.
            DataError: the disk is full, or some videos failed; all others are complete and indexed.
        """
        self.check()
        own = [job for job in jobs if shard is None or shard.owns(job.relative)]
        with _disk_errors(self.out), only_run(self.out) if shard is None else begin_shard(self.out, shard):
            try:
                if shard is None:
                    return self._run(jobs, workers or default_workers())
                return self._run_shard(jobs, own, shard, workers or default_workers())
            finally:  # remove what stopped workers have left
                for job in own:
                    shutil.rmtree(part_path(job.folder), ignore_errors=True)

    def check(self) -> None:
        """Require that OUT can be used for this run; changes nothing.

        Raises:
            UsageError: OUT is inside the source or contains it, or holds something else.
            DataError: its manifest is damaged.
        """
        refuse_nested(self.source, self.out)
        if not (self.out / MANIFEST_NAME).is_file():
            try:
                refuse_foreign(self.out, (), beside=())
            except UsageError:
                if not (self.out / MANIFEST_NAME).is_file():  # otherwise another shard has just started the tree
                    raise
        self._read_records()

    def restate(self, made_by: Mapping[str, Any]) -> None:
        """Change what the manifest of a finished run says about how it was made."""
        records = self._read_records()
        replace(self, made_by=made_by)._write_manifest(records)

    def _run(self, jobs: Sequence[JobT], workers: int) -> TreeSummary[RecordT]:
        records = self._read_records()
        self._clear_foreign(jobs, records)
        waiting = [job for job in jobs if not _is_done(job, records.get(job.place))]
        missing = {job.place for job in waiting}
        records = {job.place: records[job.place] for job in jobs if job.place not in missing}
        self._write_manifest(records)
        journal = self.out / JOURNAL_NAME
        journal.write_bytes(b"")
        remove_folder(self.out / SHARDS)  # the manifest has what they made
        failed = self._make_waiting(waiting, records, journal, done=len(jobs) - len(waiting), workers=workers)
        for job in failed:
            _drop_empty(job.folder.parent, self.out)
        self._write_manifest(records)
        (self.out / JOURNAL_NAME).unlink()
        if self.copies_annotations:
            self._copy_annotations()
        if records:
            build_index(self.out)
        by_source = {job.relative: records[job.place] for job in jobs if job.place in records}
        for note in self.notes(by_source) if self.notes is not None else ():
            _LOG.warning("note: %s", note)
        self._refuse_failed(failed, of=len(jobs))
        return TreeSummary(skipped=len(jobs) - len(waiting), records=by_source)

    def _run_shard(self, jobs: Sequence[JobT], own: Sequence[JobT], shard: Shard, workers: int) -> TreeSummary[RecordT]:
        """The part of `_run` that several shards may do at the same time. Nothing that others read or write is
        removed."""
        journal = shard_journal(self.out, shard)
        with one_at_a_time(self.out / MANIFEST_NAME, f"shard {shard}"):
            if not (self.out / MANIFEST_NAME).is_file():
                self._write_manifest({})
        records = self._read_records()
        self._find_stale(jobs, records)
        waiting = [job for job in own if not _is_done(job, records.get(job.place))]
        missing = {job.place for job in waiting}
        records = {job.place: records[job.place] for job in own if job.place not in missing}
        # written again, because an incomplete line of an earlier run would damage the next one
        write_text(journal, "".join(_line(place, record) for place, record in records.items()))
        failed = self._make_waiting(waiting, records, journal, done=len(own) - len(waiting), workers=workers)
        self._refuse_failed(failed, of=len(own))
        return TreeSummary(len(own) - len(waiting), {job.relative: records[job.place] for job in own})

    def _make_waiting(
        self, waiting: Sequence[JobT], records: dict[str, RecordT], journal_path: Path, *, done: int, workers: int
    ) -> list[JobT]:
        """Make these videos, and add their records to `records` and to the end of the journal.

        `done` videos existed already. Gives the jobs that failed; of these, only the folders above them are left.
        """
        failed: list[JobT] = []
        with (
            Progress("videos", len(waiting) + done) as progress,
            journal_path.open("a", encoding="utf-8") as journal,
            closing(run_in_workers(self.make, waiting, workers=workers, time_limit_s=self.time_limit_s)) as outcomes,
        ):
            progress.skip(done)
            for outcome in outcomes:
                job = outcome.item
                if outcome.value is None:
                    if outcome.error is not None and is_shortage(outcome.error):
                        raise outcome.error
                    failed.append(job)
                    advice = f". {self.if_lost}" if self.if_lost and isinstance(outcome.error, ProcessLost) else ""
                    report_failed(_LOG, f"{self._failure(job, outcome.error)}{advice}", outcome.error)
                    remove_folder(job.folder)
                else:
                    records[job.place] = outcome.value
                    journal.write(_line(job.place, outcome.value))
                    journal.flush()
                progress.advance()
        return failed

    def _refuse_failed(self, failed: Sequence[JobT], *, of: int) -> None:
        if failed:
            raise DataError(
                f"{self.source}: {len(failed)} of {counted(of, 'video')} failed:"
                f" {listed([job.relative for job in failed])}."
                f" The others are in {self.out}. Replace or remove these, then run the same command again."
            )

    def _failure(self, job: JobT, error: Exception | None) -> str:
        """The source of a failed video and the reason; an error that begins with that path has it only once."""
        reason = _reason(error).removeprefix(f"{self.source / job.relative}: ")
        return reason if reason.startswith(job.relative) else f"{job.relative}: {reason}"

    def _read_records(self) -> dict[str, RecordT]:
        """The records of the videos that an earlier run made."""
        path = self.out / MANIFEST_NAME
        if not path.is_file():
            return {}
        try:
            content: dict[str, Any] = parse_json(path.read_bytes(), finite=True)
            if content["schema"] != MANIFEST_SCHEMA:
                raise ValueError(f"schema {content['schema']}, this version knows {MANIFEST_SCHEMA}")
            made_by = dict(content["made_by"])
            if made_by != self.made_by:
                raise UsageError(
                    f"{self.out}: holds another run ({_stated(made_by)}); this command asks for "
                    f"{_stated(self.made_by)}."
                    " Use another folder."
                )
            records = {place: self._checked(place, record) for place, record in content["videos"].items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{path}: not a frame tree's manifest ({error}). Use another folder.") from None
        return records | self._read_journals()

    def _checked(self, place: str, record: Any) -> RecordT:
        found = checked_record(self.record, with_current_keys(record, _EARLIER) if isinstance(record, dict) else record)
        if not 0 <= found.frames <= MOST_FRAMES:
            raise ValueError(f"{quoted(place)}: {quoted(found.frames)} frames")
        return found

    def _read_journals(self) -> dict[str, RecordT]:
        records: dict[str, RecordT] = {}
        for path in (*journals_of_shards(self.out), self.out / JOURNAL_NAME):
            text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
            for line in text.splitlines():
                try:
                    content = parse_json(line, finite=True)
                    records |= {place: self._checked(place, record) for place, record in content.items()}
                except (ValueError, TypeError, AttributeError):  # an interrupted write: that video is made again
                    continue
        return records

    def _write_manifest(self, records: Mapping[str, RecordT]) -> None:
        videos = {place: asdict(record) for place, record in sorted(records.items())}  # type: ignore[call-overload]
        write_json(
            self.out / MANIFEST_NAME, {"schema": MANIFEST_SCHEMA, "made_by": dict(self.made_by), "videos": videos}
        )

    def _clear_foreign(self, jobs: Sequence[JobT], records: Mapping[str, RecordT]) -> None:
        """Require that OUT holds no videos other than those of the jobs. If `removes_stale`, videos that an earlier run
        made of the same objects (by the manifest, and not behind a link) are removed first."""
        stale = self._find_stale(jobs, records)
        for place in sorted(stale):
            remove_folder(self.out / place)
            _drop_empty((self.out / place).parent, self.out)
        if stale:
            _LOG.info("note: %s: removed %s without source pictures", self.out, counted(len(stale), "video"))

    def _find_stale(self, jobs: Sequence[JobT], records: Mapping[str, RecordT]) -> set[str]:
        """The places of stale videos, see `removes_stale`; raises UsageError if there are any others."""
        foreign = videos_in(self.out) - {job.place for job in jobs}
        stale = {place for place in foreign if self.removes_stale and self._is_stale(place, jobs, records)}
        refuse_foreign_videos(self.source, self.out, foreign - stale)
        return stale

    def _is_stale(self, place: str, jobs: Sequence[JobT], records: Mapping[str, RecordT]) -> bool:
        objects = {_object_of(job.place) for job in jobs}
        linked = Root.of(self.out).link_on_way(place.split("/"))
        return place in records and _object_of(place) in objects and not linked

    def _copy_annotations(self) -> None:
        source, target = self.source / ANNOTATIONS, self.out / ANNOTATIONS
        if not source.is_dir() or (target.is_dir() and _same_files(source, target)):
            return
        remove_folder(target)
        with whole_folder(target) as folder:
            shutil.copytree(source, folder, dirs_exist_ok=True, copy_function=shutil.copyfile)


def _object_of(place: str) -> str:
    """`[split/]USER/OBJECT` from a video's place."""
    return place.rsplit("/", 2)[0]


def _line(place: str, record: Any) -> str:
    """One line of a journal."""
    return json.dumps({place: asdict(record)}, ensure_ascii=False) + "\n"


def count_in_manifest(path: Path, user: str) -> int:
    """The number of a user's videos in a manifest; 0 if there is no such file. Raises as `drop_from_manifest`."""
    return sum(place_user(place) == user for place in _manifest(path)["videos"]) if path.is_file() else 0


def drop_from_manifest(path: Path, user: str) -> int:
    """Remove a user's videos from a manifest; gives their number.

    Raises:
        DataError: if it can't be read.
    """
    if not (dropped := count_in_manifest(path, user)):
        return 0
    content = _manifest(path)
    remove_parts(path)
    kept = {place: record for place, record in content["videos"].items() if place_user(place) != user}
    write_json(path, content | {"videos": kept})
    return dropped


def count_in_journal(path: Path, user: str) -> int:
    """The number of lines about a user's videos in the journal of an interrupted run; 0 if there is no such file."""
    return sum(_is_of(line, user) for line in path.read_bytes().splitlines()) if path.is_file() else 0


def drop_from_journal(path: Path, user: str) -> int:
    """Remove those lines; gives their number."""
    if dropped := count_in_journal(path, user):
        remove_parts(path)
        lines = path.read_bytes().splitlines(keepends=True)
        write_bytes(path, b"".join(line for line in lines if not _is_of(line, user)))
    return dropped


def _manifest(path: Path) -> dict[str, Any]:
    """The content of any run's manifest."""
    try:
        content = parse_json(path.read_bytes(), finite=True)
        if not isinstance(content["videos"], dict):
            raise ValueError("it has no videos")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: not a frame tree's manifest ({error}). Restore it, or remove it.") from None
    return dict(content)


def _is_of(line: bytes, user: str) -> bool:
    """Whether a journal's line is about a user's video; for an incomplete line, whether it contains the name."""
    try:
        return any(place_user(place) == user for place in parse_json(line))
    except ValueError:
        return user.encode() in line


def remove_folder(folder: Path) -> None:
    """Remove a folder in one step: it is renamed to its hidden part first, so that half of it never counts as whole.

    If it is a symbolic link, the link itself is removed.
    """
    if folder.is_symlink():
        folder.unlink()
        return
    part = part_path(folder)
    shutil.rmtree(part, ignore_errors=True)
    if folder.is_dir():
        folder.rename(part)
        shutil.rmtree(part)


@contextmanager
def _disk_errors(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in FULL_DISK:
            raise
        raise DataError(
            f"{out}: the disk is full ({error.strerror}). Videos made so far are whole; make room, then run the same"
            " command again."
        ) from None


def _is_done(job: Job, record: Record | None) -> bool:
    if record is None or record.mark != job.mark or not job.folder.is_dir():
        return False
    return sum(1 for path in job.folder.iterdir() if path.suffix == ".jpg") == record.frames


def _drop_empty(folder: Path, out: Path) -> None:
    """Remove the folders that are empty because their only video failed."""
    while folder != out and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


def _reason(error: Exception | None) -> str:
    text = str(error) if isinstance(error, KitError | OSError) else repr(error)
    return " ".join(text.split())


def _stated(made_by: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in made_by.items())


def _same_files(first: Path, second: Path) -> bool:
    names = [sorted(p.relative_to(tree) for p in tree.rglob("*") if p.is_file()) for tree in (first, second)]
    if names[0] != names[1]:
        return False
    _, different, unreadable = filecmp.cmpfiles(first, second, [str(name) for name in names[0]], shallow=False)
    return not different and not unreadable
