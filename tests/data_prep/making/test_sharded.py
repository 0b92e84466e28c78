"""Shards of one tree: whatever their order and however many at once, together they make what one run makes."""

import errno
import fcntl
import itertools
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from data_prep.making.extract import Settings, extract
from data_prep.making.images import ImageSettings, make_images
from data_prep.making.shards import begin_shard, shard_journal
from data_prep.quality.estimate import quality
from data_prep.quality.join import join_tables
from data_prep.quality.report import quality_text, write_csv
from data_prep.tree.index import open_index
from data_prep.tree.layout import MANIFEST_NAME, SHARDS
from data_prep.tree.shard import Shard
from groundwork.errors import DataError, UsageError
from groundwork.lock import only_run

ROOT = Path(__file__).parents[3]
SETTINGS = Settings(32)
COUNT = 3


@pytest.fixture(scope="module")
def raw(encode_video, tmp_path_factory):
    """Nine short videos, of which each of 3 shards has some, and annotations. Not to be written into."""
    root = tmp_path_factory.mktemp("sharded") / "raw"
    for user, thing in itertools.product(("ann", "ben", "çem"), ("my keys", "cup", "bag")):
        encode_video(root / user / thing / "clean/one.mp4", size=(64, 48), pictures=4 + len(user + thing))
    (root / "annotations").mkdir()
    (root / "annotations/v.json").write_text("{}")
    return root


@pytest.fixture(scope="module")
def whole(raw, tmp_path_factory):
    """What one run makes of it. Not to be written into."""
    out = tmp_path_factory.mktemp("whole") / "out"
    extract(raw, out, settings=SETTINGS, workers=2)
    return out


def run_shard(raw, out, number, count=COUNT, **more):
    return extract(raw, out, settings=SETTINGS, workers=1, shard=Shard(number, count), **more)


PROCESS = """
import os, signal, sys
from pathlib import Path
from data_prep.making.extract import Settings, extract
from data_prep.tree.shard import Shard
from groundwork.progress import Progress
advance, killed_at = Progress.advance, int(sys.argv[4])

def kill(progress):
    if progress.done == killed_at:  # this video is in the journal
        os.kill(os.getpid(), signal.SIGKILL)
    advance(progress)

Progress.advance = kill
extract(Path(sys.argv[1]), Path(sys.argv[2]), settings=Settings(32), workers=1, shard=Shard.parse(sys.argv[3]))
"""


def start_shard(raw, out, number, count=COUNT, *, killed_at=-1):
    """The same in a process of its own, which can kill itself when so many videos and one more are made."""
    command = [sys.executable, "-c", PROCESS, raw, out, f"{number}/{count}", killed_at]
    return subprocess.Popen(list(map(str, command)), cwd=ROOT)


@pytest.mark.parametrize("order", list(itertools.permutations((1, 2, 3)))[::2])
def test_shards_in_any_order_make_what_one_run_makes(raw, whole, tmp_path, tree_bytes, order):
    made = [run_shard(raw, tmp_path / "out", number) for number in order]
    assert sum(summary.videos for summary in made) == 9 and all(summary.videos for summary in made)
    assert not (tmp_path / "out/index.csv").exists()
    joined = extract(raw, tmp_path / "out", settings=SETTINGS, workers=1)
    assert (joined.videos, joined.skipped) == (9, 9)
    assert tree_bytes(tmp_path / "out") == tree_bytes(whole)
    assert [path.name for path in (tmp_path / "out").iterdir() if path.name.startswith(".")] == []


def test_shards_at_once_in_one_folder_make_what_one_run_makes(raw, whole, tmp_path, tree_bytes):
    running = [start_shard(raw, tmp_path / "out", number) for number in (2, 1)]
    assert [process.wait() for process in running] == [0, 0]
    run_shard(raw, tmp_path / "out", 3)
    assert extract(raw, tmp_path / "out", settings=SETTINGS).skipped == 9
    assert tree_bytes(tmp_path / "out") == tree_bytes(whole)


def test_a_killed_shard_resumes_and_the_others_never_notice(raw, whole, tmp_path, tree_bytes):
    out = tmp_path / "out"
    owner = max(range(1, COUNT + 1), key=lambda number: sum(Shard(number, COUNT).owns(place) for place in places(raw)))
    (killed, *others) = [
        start_shard(raw, out, number, killed_at=1 if number == owner else -1)
        for number in sorted(range(1, COUNT + 1), key=lambda number: number != owner)
    ]
    assert killed.wait() == -signal.SIGKILL and [process.wait() for process in others] == [0, 0]
    again = run_shard(raw, out, owner)
    assert (again.skipped, again.videos > 2) == (2, True)
    assert extract(raw, out, settings=SETTINGS).skipped == 9
    assert tree_bytes(out) == tree_bytes(whole)
    assert not list(out.rglob(".*"))


def test_a_journal_that_was_cut_off_within_a_line_costs_that_video_alone(raw, whole, tmp_path, tree_bytes):
    out = tmp_path / "out"
    run_shard(raw, out, 1)
    journal = shard_journal(out, Shard(1, COUNT))
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:-1]) + lines[-1][:4])
    again = run_shard(raw, out, 1)
    assert (again.videos, again.skipped) == (len(lines), len(lines) - 1)
    assert sorted(journal.read_bytes().splitlines(keepends=True)) == sorted(lines)
    for number in (2, 3):
        run_shard(raw, out, number)
    extract(raw, out, settings=SETTINGS)
    assert tree_bytes(out) == tree_bytes(whole)


def test_another_count_goes_on_with_what_is_there(raw, whole, tmp_path, tree_bytes):
    run_shard(raw, tmp_path / "out", 1, 3)
    made = [run_shard(raw, tmp_path / "out", number, 2) for number in (1, 2)]
    assert sum(summary.videos for summary in made) == 9
    assert 0 < sum(summary.skipped for summary in made) < 9
    assert extract(raw, tmp_path / "out", settings=SETTINGS).skipped == 9
    assert tree_bytes(tmp_path / "out") == tree_bytes(whole)


def test_a_run_without_shards_makes_what_shards_have_left(raw, whole, tmp_path, tree_bytes):
    made = run_shard(raw, tmp_path / "out", 2)
    assert extract(raw, tmp_path / "out", settings=SETTINGS).skipped == made.videos
    assert tree_bytes(tmp_path / "out") == tree_bytes(whole)
    assert run_shard(raw, tmp_path / "out", 2).skipped == made.videos  # and shards find what that run has made


def test_a_shard_without_videos_is_no_fault(raw, tmp_path):
    owned = [sum(Shard(number, 50).owns(f"{place}") for place in places(raw)) for number in range(1, 51)]
    empty = owned.index(0) + 1
    assert run_shard(raw, tmp_path / "out", empty, 50).videos == 0


def places(raw):
    return [path.relative_to(raw).as_posix() for path in raw.rglob("*.mp4")]


def test_a_failed_video_is_reported_by_its_shard_alone(raw, tmp_path, reported):
    shutil.copytree(raw, tmp_path / "raw")
    (tmp_path / "raw/ann/bag/clean/one.mp4").write_bytes(b"no video")
    (owner,) = [n for n in range(1, COUNT + 1) if Shard(n, COUNT).owns("ann/bag/clean/one.mp4")]
    for number in range(1, COUNT + 1):
        if number == owner:
            with pytest.raises(DataError, match=r"1 of \d videos failed: ann/bag/clean/one\.mp4"):
                run_shard(tmp_path / "raw", tmp_path / "out", number)
        else:
            run_shard(tmp_path / "raw", tmp_path / "out", number)
    with pytest.raises(DataError, match="1 of 9 videos failed"):
        extract(tmp_path / "raw", tmp_path / "out", settings=SETTINGS)
    assert len(open_index(tmp_path / "out").rows) == 8 and not (tmp_path / "out/ann/bag").exists()


def test_shards_need_no_locks(raw, whole, tmp_path, tree_bytes, monkeypatch):
    """As on some shared disks of clusters. None is available here, so its answer is simulated."""

    def refuse(*_):
        raise OSError(errno.ENOSYS, "no locks here")

    monkeypatch.setattr(fcntl, "flock", refuse)
    for number in (2, 1, 3):
        run_shard(raw, tmp_path / "out", number)
    assert extract(raw, tmp_path / "out", settings=SETTINGS, workers=1).skipped == 9
    assert tree_bytes(tmp_path / "out") == tree_bytes(whole)


# --- who may run beside whom


def test_the_same_shard_twice_is_refused(raw, tmp_path):
    with begin_shard(tmp_path / "out", Shard(1, 3)), pytest.raises(UsageError, match="shard 1/3 is already running"):
        run_shard(raw, tmp_path / "out", 1)


def test_shards_of_another_count_are_refused_while_one_runs(raw, tmp_path):
    with begin_shard(tmp_path / "out", Shard(1, 3)):
        with pytest.raises(UsageError, match="shard 1/3 is running here, so shard 2/4 can't"):
            run_shard(raw, tmp_path / "out", 2, 4)
        run_shard(raw, tmp_path / "out", 2, 3)
    run_shard(raw, tmp_path / "out", 2, 4)


def test_a_run_without_shards_and_a_shard_keep_each_other_out(raw, tmp_path):
    with begin_shard(tmp_path / "out", Shard(1, 3)), pytest.raises(UsageError, match="another run is writing here"):
        extract(raw, tmp_path / "out", settings=SETTINGS)
    with only_run(tmp_path / "out"), pytest.raises(UsageError, match="another run is writing here"):
        run_shard(raw, tmp_path / "out", 1)


def test_shards_with_other_settings_are_refused(raw, tmp_path):
    run_shard(raw, tmp_path / "out", 1)
    with pytest.raises(UsageError, match="holds another run"):
        extract(raw, tmp_path / "out", settings=Settings(40), shard=Shard(2, COUNT))


def test_a_shard_does_not_discard_the_key(raw, tmp_path):
    with pytest.raises(UsageError, match="the other shards need the key, too"):
        run_shard(raw, tmp_path / "out", 1, discard=True)
    assert not (tmp_path / "out").exists()


def test_an_index_made_before_the_shards_are_joined_says_so(raw, tmp_path, caplog):
    run_shard(raw, tmp_path / "out", 1)
    open_index(tmp_path / "out")
    assert "made by shards, which are not joined yet" in caplog.text
    extract(raw, tmp_path / "out", settings=SETTINGS)
    assert not (tmp_path / "out" / SHARDS).exists() and len(open_index(tmp_path / "out").rows) == 9


def test_the_manifest_is_there_from_the_first_shard_on(raw, tmp_path):
    run_shard(raw, tmp_path / "out", 1)
    manifest = json.loads((tmp_path / "out" / MANIFEST_NAME).read_text())
    assert manifest["made_by"]["verb"] == "extract" and manifest["videos"] == {}


# --- images and quality


def test_shards_of_images_make_what_one_run_makes(tmp_path, tree_bytes):
    rng = np.random.default_rng(0)
    for thing, number in itertools.product(("mug", "my keys"), range(4)):
        path = tmp_path / "src" / thing / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), rng.integers(0, 256, (40, 40, 3), dtype=np.uint8))
    shutil.copyfile(tmp_path / "src/mug/0.png", tmp_path / "src/mug/9.png")  # a copy, which is left out
    settings = ImageSettings(32, clutter=0.3)
    make_images(tmp_path / "src", tmp_path / "whole", settings=settings, workers=1)
    for number in (3, 1, 2):
        made = make_images(tmp_path / "src", tmp_path / "out", settings=settings, workers=1, shard=Shard(number, COUNT))
        assert made.videos < 8
    assert make_images(tmp_path / "src", tmp_path / "out", settings=settings, workers=1).skipped == 8
    assert tree_bytes(tmp_path / "out") == tree_bytes(tmp_path / "whole")


def test_tables_of_quality_join_to_those_of_one_run(whole, tmp_path, tree_bytes):
    videos = quality(whole, workers=1)
    write_csv(videos, tmp_path / "whole")
    for number in (2, 3, 1):
        shard = Shard(number, COUNT)
        write_csv(quality(whole, workers=1, shard=shard), tmp_path / "out", shard=shard)
    joined = join_tables(whole, tmp_path / "out")
    assert joined.shards == COUNT and quality_text(joined.videos) == quality_text(videos)
    assert tree_bytes(tmp_path / "out") == tree_bytes(tmp_path / "whole")


def test_tables_that_can_not_be_joined_are_refused(whole, tmp_path):
    with pytest.raises(UsageError, match="no tables of shards"):
        join_tables(whole, tmp_path)
    for number in (1, 3):
        shard = Shard(number, COUNT)
        write_csv(quality(whole, workers=1, shard=shard), tmp_path, shard=shard)
    with pytest.raises(DataError, match=r"no quality_videos\.csv of shard 2/3"):
        join_tables(whole, tmp_path)
    for name in ("quality_videos", "quality_frames"):
        shutil.copyfile(tmp_path / f"{name}-1-of-3.csv", tmp_path / f"{name}-2-of-3.csv")
    with pytest.raises(DataError, match="that the tree's index has"):
        join_tables(whole, tmp_path)
    (tmp_path / "quality_videos-1-of-2.csv").touch()
    with pytest.raises(UsageError, match="tables of 2 shards, 3 shards; remove"):
        join_tables(whole, tmp_path)
    assert not (tmp_path / "quality_videos.csv").exists()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda lines: lines[:-1], "that the tree's index has"),
        (lambda lines: [b"other,columns\n", *lines[1:]], "its first line differs from that of"),
        (lambda lines: [], "its first line differs from that of .*, or is missing"),
    ],
)
def test_a_damaged_table_leaves_no_joined_one(whole, tmp_path, damage, said):
    """Also if the damage is in the second table: otherwise the first would be new, and the second missing or old."""
    for number in range(1, COUNT + 1):
        shard = Shard(number, COUNT)
        write_csv(quality(whole, workers=1, shard=shard), tmp_path, shard=shard)
    part = tmp_path / "quality_frames-3-of-3.csv"
    part.write_bytes(b"".join(damage(part.read_bytes().splitlines(keepends=True))))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(DataError, match=said):
        join_tables(whole, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
