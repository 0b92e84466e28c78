"""Forgetting a user leaves nothing of theirs and changes nothing of the others', even if it was killed midway."""

import csv
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from data_prep.archives.download import RECORD_NAME, RECORD_SCHEMA
from data_prep.forgetting.forget import Forgotten, forget_user
from data_prep.making.extract import extract
from data_prep.making.pack import pack
from data_prep.making.run import JOURNAL_NAME
from data_prep.making.shards import shard_journal
from data_prep.making.summarize import summarize, write_csv
from data_prep.making.verify import verify
from data_prep.tree.index import build_index, open_index
from data_prep.tree.layout import annotation_path, cache_folder
from data_prep.tree.naming import name_videos, scan_raw, table_path
from data_prep.tree.shard import Shard
from groundwork.errors import DataError, UsageError
from groundwork.files import csv_text, part_path
from groundwork.lock import only_run

ROOT = Path(__file__).resolve().parents[3]
USER = "P1002"  # one of the pocket set's three train users
APPLE_DOUBLE = b"\x00\x05\x16\x07"  # the first bytes of macOS's ._ files
TABLES = ("quality_videos.csv", "quality_frames.csv", "users.csv")


def without_splits(tree, out):
    """The users of one split as a tree without splits."""
    shutil.copytree(tree / "train", out)
    shutil.copytree(tree / "annotations/train", out / "annotations")


def make_tree(kind, pocket_raw, pocket_frames, root):
    if kind == "raw":
        shutil.copytree(pocket_raw, root)
        _rename_as_phones_do(root)
    elif kind == "packed":
        pack(pocket_frames, root)
    elif kind == "no splits":
        without_splits(pocket_frames, root)
    else:
        shutil.copytree(pocket_frames, root)


def _rename_as_phones_do(root):
    """Renames the train videos arbitrarily, so that there is a private table of names; annotations are renamed, too."""
    (root / "index.csv").unlink()  # it lists the old names
    before = {}
    for number, video in enumerate(sorted((root / "train").rglob("*.mp4"))):
        renamed = video.rename(video.with_name(f"VID_{number}.mp4"))
        before[renamed.relative_to(root).as_posix()] = video.stem
    names = name_videos(root, scan_raw(root))
    for relative, old in before.items():
        path = annotation_path(root, "train", old)
        annotation_path(root, "train", names[relative]).write_text(path.read_text().replace(old, names[relative]))
        path.unlink()


def furnish(root):
    """Adds what else a tree may have: tables, a journal, leftovers of killed work, an index in the cache."""
    index = open_index(root)
    rows = [(row.split, row.user, row.object, row.video_type, row.video, row.frames) for row in index.rows]
    heading = ["split", "user", "object", "video_type", "video", "frames"]
    (root / "quality_videos.csv").write_text(csv_text(heading, rows))
    (root / "quality_frames.csv").write_text(csv_text(heading, [row for row in rows for _ in range(3)]))
    write_csv(summarize(index), root)
    places = ["/".join(filter(None, row[:5])) for row in rows]
    journal = [json.dumps({place: {"frames": 1, "mark": "1"}}) + "\n" for place in places]
    (root / JOURNAL_NAME).write_text("".join(journal) + journal[0][:40])
    for number in (1, 2):  # shards that are not joined
        of_shard = shard_journal(root, Shard(number, 2))
        of_shard.parent.mkdir(exist_ok=True)
        of_shard.write_text("".join(journal[number - 1 :: 2]))
        (root / Shard(number, 2).file_name("quality_videos.csv")).write_text(csv_text(heading, rows[number - 1 :: 2]))
    cache = cache_folder(root)
    cache.mkdir(parents=True, exist_ok=True)
    shutil.copy2(root / "index.csv", cache / "index.csv")
    level = root / ("train" if (root / "train").is_dir() else "")
    video = next(row.video for row in index.rows if row.user == USER)
    for path in (
        part_path(level / USER) / "bag" / "clean" / "cut-off" / "cut-off-00001.jpg",
        part_path(level / f"{USER}.zip"),
        level / f"._{USER}",
        part_path(root / "index.csv"),
        part_path(root / "manifest.json"),
        part_path(root / "quality_frames.csv"),
        part_path(root / "users.csv"),
        part_path(shard_journal(root, Shard(1, 2))),
        part_path(table_path(root)),
        root / "annotations" / "train" / f".{video}.json.part",
        root / "annotations" / "train" / f"._{video}.json",
        root / "annotations" / f"{USER}--gone--clean--x.json",
        root / ".annotations.part" / "train" / f"{video}.json",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(APPLE_DOUBLE + f"the rest of {USER}".encode())


def content(*folders):
    """Every file by its path, including hidden ones."""
    return {path: path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}


def pictures(root, user):
    """The bytes of a user's frames and videos."""
    found = [path.read_bytes() for path in root.rglob("*") if user in path.parts and path.is_file()]
    for archive in root.rglob(f"{user}.zip"):
        with zipfile.ZipFile(archive) as opened:
            found += [opened.read(name) for name in opened.namelist()]
    return set(found)


def refuse_traces(folders, user, frames):
    """The property: no path and no file contains the user's name (videos' names begin with it) or one of the frames."""
    for path, held in content(*folders).items():
        assert user.encode() not in held, path
        assert held not in frames, path
    for folder in folders:
        for path in folder.rglob("*"):
            assert user not in str(path.relative_to(folder)), path


@pytest.mark.parametrize("kind", ["frames", "no splits", "packed", pytest.param("raw", marks=pytest.mark.slow)])
def test_nothing_of_the_user_is_left_and_the_others_do_not_change(kind, pocket_raw, pocket_frames, tmp_path, own_cache):
    root = tmp_path / "tree"
    make_tree(kind, pocket_raw, pocket_frames, root)
    furnish(root)
    before, theirs, rows = content(tmp_path, own_cache), pictures(root, USER), open_index(root).rows
    own = [row for row in rows if row.user == USER]
    assert len(own) == 9 and len(theirs) >= 9  # 3 objects with 2 clean videos and 1 clutter video each
    forgotten = forget_user(root, USER)
    refuse_traces([tmp_path, own_cache], USER, theirs)
    after = content(tmp_path, own_cache)
    changed = {path.name for path in after if after[path] != before.get(path)}
    assert changed == {
        *TABLES,
        "counts.csv",
        "spreads.csv",
        "index.csv",
        JOURNAL_NAME,
        *(shard_journal(root, Shard(number, 2)).name for number in (1, 2)),
        *(Shard(number, 2).file_name("quality_videos.csv") for number in (1, 2)),
        *({"manifest.json"} if kind in ("frames", "packed") else ()),
        *({table_path(root).name} if kind == "raw" else ()),
    }
    gone = before.keys() - after.keys()
    assert all(USER in str(path) or path.name.endswith(".part") for path in gone)
    assert open_index(root).rows == tuple(row for row in rows if row.user != USER)
    written = (root / "index.csv").read_bytes()
    assert (cache_folder(root) / "index.csv").read_bytes() == written
    assert verify(root) == []
    build_index(root)
    assert (root / "index.csv").read_bytes() == written
    for line in (
        "9 videos",
        "annotations: 13 files",  # 9, a part, a twin, one of an interrupted copy, and one without its video
        f"{root / 'index.csv'}: 9 rows",
        f"{cache_folder(root) / 'index.csv'}: 9 rows",
        f"{root / JOURNAL_NAME}: 9 entries",
        *([f"{root / 'manifest.json'}: 9 entries"] if kind in ("frames", "packed") else []),
        *([f"{table_path(root)}: 9 names"] if kind == "raw" else []),
        "quality_frames.csv: 27 rows",
    ):
        assert any(line in removed for removed in forgotten.removed), line
    again = forget_user(root, USER)
    assert (again.removed, again.left, again.remaining) == ((), (), ())
    assert f"nothing of user '{USER}': already gone, or never here (if you meant 'P" in str(again)
    assert content(tmp_path, own_cache) == after


def test_tables_keep_the_other_users_rows(pocket_frames, tmp_path):
    make_tree("frames", None, pocket_frames, tmp_path / "tree")
    furnish(tmp_path / "tree")
    before = {name: (tmp_path / "tree" / name).read_text().splitlines() for name in TABLES}
    forget_user(tmp_path / "tree", USER)
    for name, lines in before.items():
        kept = (tmp_path / "tree" / name).read_text().splitlines()
        assert kept == [line for line in lines if USER not in line] and len(kept) < len(lines)
    counts = list(csv.DictReader((tmp_path / "tree/counts.csv").open()))
    combined = [row for row in counts if (row["split"], row["video_type"]) == ("combined", "both")]
    assert [int(row["users"]) for row in combined] == [5]  # of 6


def test_other_videos_keep_their_names_when_the_raw_tree_is_extracted_again(pocket_raw, tmp_path):
    raw = tmp_path / "raw"
    make_tree("raw", pocket_raw, None, raw)
    names = name_videos(raw, scan_raw(raw))
    forget_user(raw, USER)
    assert name_videos(raw, scan_raw(raw)) == {key: name for key, name in names.items() if USER not in key}


def test_the_only_user_leaves_an_empty_tree(pocket_frames, tmp_path, own_cache):
    root = tmp_path / "tree"
    shutil.copytree(pocket_frames / "validation", root)
    furnish_user = next(path.name for path in root.iterdir())
    write_csv(summarize(open_index(root)), root)
    forget_user(root, furnish_user)
    assert content(root, own_cache) == {}


def test_the_user_is_removed_from_every_split_and_other_and_their_indexes(pocket_frames, tmp_path, own_cache):
    root = tmp_path / "tree"
    shutil.copytree(pocket_frames, root)
    shutil.copytree(root / "train" / USER, root / "test" / USER)
    for level in ("other", "test"):
        (root / level).mkdir(exist_ok=True)
        shutil.copytree(root / "train", root / level, dirs_exist_ok=True)
        build_index(root / level)
    build_index(root)
    theirs = pictures(root, USER)
    forget_user(root, USER)
    refuse_traces([tmp_path, own_cache], USER, theirs)
    assert open_index(root / "other").users() == ("P1001", "P1003")
    assert open_index(root / "test").users() == ("P1001", "P1003", "P3001", "P3002")


def test_other_may_be_a_user_or_a_level(pocket_frames, tmp_path):
    shutil.copytree(pocket_frames / "train", tmp_path / "user")
    (tmp_path / "user" / USER).rename(tmp_path / "user/other")
    forget_user(tmp_path / "user", "other")
    assert sorted(path.name for path in (tmp_path / "user").iterdir()) == ["P1001", "P1003"]
    shutil.copytree(pocket_frames / "train", tmp_path / "level/other")
    for name in ("other", "annotations"):
        with pytest.raises(UsageError, match="a part of the tree, not a user"):
            forget_user(tmp_path / "level", name)
    with pytest.raises(UsageError, match="a part of the tree"):
        forget_user(pocket_frames, "train")
    assert len(list((tmp_path / "level/other").iterdir())) == 3


def test_exports_of_orbit_camera_are_removed_by_their_names(small_raw, tmp_path, own_cache):
    root = tmp_path / "flat"
    root.mkdir()
    for name in ("ann--cup--T--a.mp4", "ann--my keys--Z--b--c.mp4", "anna--cup--T--d.mp4", "notes.txt"):
        shutil.copy(small_raw / "ann/cup/clean/three.mov", root / name)
    out = tmp_path / "frames"
    extract(root, out, techniques={"T": "clean", "Z": "clutter"})
    assert len(json.loads(table_path(root).read_text())["names"]) == 3
    forget_user(root, "ann")
    assert sorted(path.name for path in root.iterdir()) == ["anna--cup--T--d.mp4", "notes.txt"]
    assert list(json.loads(table_path(root).read_text())["names"]) == ["anna--cup--T--d.mp4"]


def make(root, places):
    """Folders of frames of a few bytes each."""
    for place, frames in places.items():
        folder = root / place
        folder.mkdir(parents=True)
        for k in range(1, frames + 1):
            (folder / f"{folder.name}-{k:05d}.jpg").write_bytes(f"{place} {k}".encode())
        level = folder.relative_to(root).parts[0]
        path = annotation_path(root, level if level in ("train", "test") else "", folder.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    return root


def test_users_whose_names_begin_alike_are_not_confused(tmp_path):
    root = make(
        tmp_path / "tree",
        {
            "ann/cup/clean/ann--cup--clean--a": 1,
            "ann/holiday/clean/IMG_1": 1,  # a video whose name does not begin with its user's
            "ann--b/cup/clean/ann--b--cup--clean--a": 1,
            "anna/cup/clean/anna--cup--clean--a": 1,
            "bob/cup/clean/ann--cup--clean--moved": 1,
        },
    )
    (root / "annotations/ann--b--gone--clean--x.json").write_text("{}")
    (root / "annotations/ann--gone--clean--x.json").write_text("{}")
    build_index(root)
    forget_user(root, "ann")
    assert sorted(path.name for path in (root / "annotations").iterdir()) == [
        "ann--b--cup--clean--a.json",
        "ann--b--gone--clean--x.json",
        "ann--cup--clean--moved.json",
        "anna--cup--clean--a.json",
    ]
    assert open_index(root).users() == ("ann--b", "anna", "bob")


def test_the_index_keeps_its_modification_time(tmp_path):
    """Otherwise an earlier change of another user's frames would go unnoticed."""
    root = make(tmp_path / "tree", {f"{user}/cup/clean/{user}--cup--clean--a": 2 for user in ("ann", "bob")})
    build_index(root)
    extra = root / "bob/cup/clean/bob--cup--clean--a/bob--cup--clean--a-00003.jpg"
    extra.write_bytes(b"later")
    forget_user(root, "ann")
    with pytest.raises(DataError, match=r"3 frames on disk, 2 in index\.csv"):
        open_index(root)


@pytest.mark.parametrize("name", ["", " ", ".", "..", "../bob", "a/b", "/tmp", ".ann.part", "a\\b", "a\0b"])
def test_a_name_that_leads_out_of_the_tree_is_rejected(name, tmp_path):
    root = make(tmp_path / "tree", {"bob/cup/clean/bob--cup--clean--a": 1})
    before = content(tmp_path)
    with pytest.raises(UsageError, match="expected the name of one user's folder"):
        forget_user(root, name)
    assert content(tmp_path) == before


def test_files_of_no_user_are_left_alone(tmp_path):
    """A mistyped ROOT must not delete anybody's documents."""
    letter = tmp_path / "Documents/letters/2024/to my sister.txt"
    letter.parent.mkdir(parents=True)
    letter.write_text("dear")
    (tmp_path / "photos.zip").write_bytes(b"PK")
    (tmp_path / "Documents/clean/empty").mkdir(parents=True)
    before = content(tmp_path)
    for name, left in (
        ("Documents", f"{letter}: not this kit's"),
        ("photos", f"{tmp_path / 'photos.zip'}: not this kit's"),
    ):
        forgotten = forget_user(tmp_path, name)
        assert forgotten.removed == () and forgotten.left == (left,)
        assert "already gone, or never here" in str(forgotten)
    assert content(tmp_path) == before and (tmp_path / "Documents/clean/empty").is_dir()
    with pytest.raises(UsageError, match="no such folder"):
        forget_user(tmp_path / "none", "ann")


def test_a_users_own_folder_of_objects_is_removed(small_raw, tmp_path):
    """As 'personalize' reads them: without a folder `clean`."""
    for name in ("ann", "ben"):
        (tmp_path / f"tree/{name}/cup").mkdir(parents=True)
        shutil.copy(small_raw / "ann/cup/clean/three.mov", tmp_path / f"tree/{name}/cup/three.mov")
    assert "1 video, 1 file" in forget_user(tmp_path / "tree", "ann").removed[0]
    assert [path.name for path in (tmp_path / "tree").iterdir()] == ["ben"]


def test_data_that_can_not_be_reached_is_reported(tmp_path):
    root = make(tmp_path / "tree", {"test/ann/cup/clean/ann--cup--clean--a": 3})
    frames = sorted((root / "test/ann/cup/clean/ann--cup--clean--a").iterdir())
    os.link(frames[0], tmp_path / "linked.jpg")
    (tmp_path / "elsewhere").mkdir()
    shutil.move(frames[1], tmp_path / "elsewhere/frame.jpg")
    frames[1].symlink_to(tmp_path / "elsewhere/frame.jpg")
    (root / ".downloads").mkdir()
    (root / ".downloads/test.zip").write_bytes(b"PK")
    (root / "manifest.json").write_text(json.dumps({"schema": 2, "made_by": {}, "videos": {}}))
    (root / "notes.txt").write_text("ann's cup is blue")
    (root / "friends.txt").write_text("hannah and joann")
    forgotten = forget_user(root, "ann")
    lines = "\n".join(forgotten.unreachable)
    for line in (
        f"1 file of theirs in {root} had another name on this disk",
        f"{tmp_path / 'elsewhere'}: symbolic links led there",
        f"{root / '.downloads/test.zip'}: a published archive",
        f"{root} was made from another tree",
        f"{root / 'notes.txt'}: not written by this kit, and names ann",
        "backups",
    ):
        assert line in lines
    assert "friends.txt" not in lines and (tmp_path / "linked.jpg").is_file()
    assert (tmp_path / "elsewhere/frame.jpg").is_file() and not (root / "test/ann").exists()
    lines = str(forgotten).splitlines()
    assert f"removed: {root}/test/ann: 1 video, 3 files, 0.1 kB" in lines
    assert lines[-1].startswith("could not reach: ") and str(forgotten).isascii()


def test_a_link_to_a_users_folder_is_removed_and_its_target_is_reported(tmp_path):
    away = make(tmp_path / "away", {"ann/cup/clean/ann--cup--clean--a": 1})
    root = make(tmp_path / "tree", {"bob/cup/clean/bob--cup--clean--a": 1})
    (root / "ann").symlink_to(away / "ann")
    forgotten = forget_user(root, "ann")
    assert any(f"{away / 'ann'}: symbolic links led there" in line for line in forgotten.unreachable)
    assert not (root / "ann").is_symlink() and (away / "ann/cup").is_dir()


def test_a_downloaded_split_counts_as_complete_without_them(tmp_path):
    places = {f"test/{user}/cup/clean/{user}--cup--clean--{k}": 1 for user in ("ann", "bob") for k in "ab"}
    for name, videos, expected in (("whole", 4, 2), ("half", 5, 5)):  # the second lacked a video before
        root = make(tmp_path / name, places)
        record = {"source": "x.zip", "form": "224 px", "videos": videos, "md5": ""}
        (root / RECORD_NAME).write_text(json.dumps({"schema": RECORD_SCHEMA, "splits": {"test": record}}))
        forget_user(root, "ann")
        assert json.loads((root / RECORD_NAME).read_text())["splits"]["test"]["videos"] == expected


def test_two_runs_at_a_time_are_refused(tmp_path):
    root = make(tmp_path / "tree", {"ann/cup/clean/ann--cup--clean--a": 1})
    with only_run(root), pytest.raises(UsageError, match="another run is writing here"):
        forget_user(root, "ann")
    assert (root / "ann").is_dir()


@pytest.mark.parametrize("name", ["index.csv", "manifest.json"])
def test_a_damaged_file_stops_it_before_videos_are_removed(name, tmp_path):
    root = make(tmp_path / "tree", {f"{user}/cup/clean/{user}--cup--clean--a": 1 for user in ("ann", "bob")})
    (root / name).write_text("{")
    before = content(root)
    with pytest.raises(DataError, match=name):
        forget_user(root, "ann")
    assert content(root) == before


def test_two_outcomes_can_be_added():
    both = Forgotten(("a",), ("x", "y")) + Forgotten(("b",), ("y", "z"))
    assert both == Forgotten(("a", "b"), ("x", "y", "z"))


# Forks for every number N it is given; the fork kills itself (SIGKILL) before its N-th change on disk.
KILLER = """
import os, signal, sys
from pathlib import Path
from data_prep.forgetting.forget import forget_user

left = 0

def count(event, arguments):
    global left
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
    if writes or event in ("os.remove", "os.rename", "os.rmdir", "os.mkdir"):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

for line in sys.stdin:
    if (child := os.fork()) == 0:
        left = int(line)
        sys.addaudithook(count)
        forget_user(Path(sys.argv[1]), sys.argv[2])
        os._exit(0)
    print(os.WIFSIGNALED(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize("kind", ["frames", "packed"])
def test_the_same_call_finishes_after_a_kill_before_any_change(kind, step, tmp_path, own_cache):
    """Before every `step`-th change."""
    places = {
        f"{split}/{user}/cup/clean/{user}--cup--clean--{split}": 2
        for user in ("quark", "bob")
        for split in ("train", "test")
    }
    places |= {"train/bob/holiday/clean/IMG_1": 1, "train/quark/holiday/clean/IMG_2": 1}
    make(tmp_path / "made", places)
    root = tmp_path / "work/tree"
    if kind == "packed":
        pack(tmp_path / "made", root)
    else:
        shutil.copytree(tmp_path / "made", root)
        videos = {place: {"frames": frames} for place, frames in places.items()}
        (root / "manifest.json").write_text(json.dumps({"schema": 2, "made_by": {}, "videos": videos}))
        record = {"source": "x.zip", "form": "224 px", "videos": 4, "md5": ""}
        (root / RECORD_NAME).write_text(json.dumps({"schema": RECORD_SCHEMA, "splits": {"train": record}}))
    write_csv(summarize(open_index(root)), root)
    folders = {root.parent: tmp_path / "whole", own_cache: tmp_path / "cache"}
    for folder, kept in folders.items():
        shutil.copytree(folder, kept)
    theirs, ends, kill_at = pictures(root, "quark"), set(), 1
    command = [sys.executable, "-c", KILLER, str(root), "quark"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=ROOT, text=True, **pipes) as killer:
        killed = True
        while killed:
            for folder, kept in folders.items():
                shutil.rmtree(folder)
                shutil.copytree(kept, folder)
            print(kill_at, file=killer.stdin, flush=True)
            if killed := killer.stdout.readline() == "True\n":
                kill_at += step
                forget_user(root, "quark")
            refuse_traces(folders, "quark", theirs)
            refuse_traces(folders, "IMG_2", theirs)
            ends.add(frozenset((path, held) for path, held in content(root).items() if path.name != ".lock"))
        killer.stdin.close()
    assert kill_at > 20 and len(ends) == 1
