import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from data_prep.making.pack import pack
from data_prep.tree.index import COLUMNS, build_index, count_user, drop_user, find_index, open_index, read_rows
from data_prep.tree.layout import cache_folder
from data_prep.tree.listing import list_frames, packed_videos
from groundwork.errors import DataError, UsageError

ROOT = Path(__file__).parents[3]
AN_HOUR_S = 3600

# video -> frames; their contents are a few bytes, because an index never opens a frame
VIDEOS = {
    "test/ann/my keys/clean/ann--my-keys--clean--a": 3,
    "test/ann/my keys/clutter/ann--my-keys--clutter--b": 2,
    "test/ann/cup/clean/ann--cup--clean--c--d": 4,
    "train/bob/cup/clean/bob--cup--clean---e": 1,
}


def frame(place, number):
    return f"{place}/{Path(place).name}-{number:05d}.jpg"


def grow_old(root, age_s=AN_HOUR_S):
    """Sets the times of all files and folders back, as if the tree had existed for a while before it was indexed."""
    then = time.time() - age_s
    for path in [*root.rglob("*"), root]:
        os.utime(path, (then, then))


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "tree"
    for place, frames in VIDEOS.items():
        (root / place).mkdir(parents=True)
        for number in range(1, frames + 1):
            (root / frame(place, number)).write_bytes(b"x" * (100 + number))
    return root


@pytest.fixture
def raw(small_raw, tmp_path):
    shutil.copytree(
        small_raw, tmp_path / "raw", ignore=shutil.ignore_patterns("index.csv")
    )  # other tests may index the original
    return tmp_path / "raw"


def test_a_missing_index_is_built_and_reported(tree, reported):
    index = open_index(tree)
    assert any("has no index.csv yet" in line for line in reported())
    assert {f"{row.path}": row.frames for row in index.rows} == VIDEOS
    assert (tree / "index.csv").read_text().splitlines()[0] == ",".join(COLUMNS)
    assert COLUMNS == ("split", "user", "object", "video_type", "video", "frames", "path", "fingerprint")


def test_the_index_survives_write_and_read(tree, reported):
    built = build_index(tree)
    assert open_index(tree) == built
    assert reported() == []


def test_building_again_gives_the_same_bytes(tree):
    build_index(tree)
    first = (tree / "index.csv").read_bytes()
    build_index(tree)
    assert (tree / "index.csv").read_bytes() == first


def test_selecting(tree):
    index = open_index(tree)
    assert index.splits == ("train", "test")
    assert index.users() == ("ann", "bob") and index.users("train") == ("bob",)
    assert [row.object for row in index.select(user="ann", video_type="clean")] == ["cup", "my keys"]
    assert index.select(split="validation") == ()
    assert len(index.select()) == 4


def test_the_fingerprint_depends_only_on_the_plan(tree, tmp_path):
    first = open_index(tree).fingerprint
    shutil.copytree(tree, tmp_path / "copy")
    assert open_index(tmp_path / "copy").fingerprint == first
    place = next(iter(VIDEOS))
    (tree / frame(place, VIDEOS[place])).unlink()
    assert build_index(tree).fingerprint != first


@pytest.mark.parametrize("copy", [shutil.copy, shutil.copy2], ids=["new times", "kept times"])
def test_a_copied_tree_stays_valid(tree, tmp_path, copy, reported):
    build_index(tree)
    shutil.copytree(tree, tmp_path / "copy", copy_function=copy)
    assert open_index(tmp_path / "copy").rows == open_index(tree).rows
    assert reported() == []


def change_added(root, place):
    (root / frame(place, VIDEOS[place] + 1)).write_bytes(b"new")


def change_removed(root, place):
    (root / frame(place, VIDEOS[place])).unlink()


def change_renamed(root, place):
    (root / frame(place, VIDEOS[place])).rename(root / frame(place, 77))


def change_size(root, place):
    part = root / place / ".part"
    part.write_bytes(b"another size")
    part.replace(root / frame(place, 1))


CHANGES = {
    change_added: "5 frames on disk, 4 in index.csv",
    change_removed: "3 frames on disk, 4 in index.csv",
    change_renamed: "names or sizes",
    change_size: "names or sizes",
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("settled", [False, True], ids=["at once", "an hour later"])
def test_a_changed_video_is_detected(tree, change, settled):
    place = "test/ann/cup/clean/ann--cup--clean--c--d"
    build_index(tree)
    if settled:
        open_index(tree)
        soon = time.time() + 0.01
        time.sleep(0.02)
        os.utime(tree / "index.csv", (soon, soon))  # the last check was just now, long after the listing
        time.sleep(0.02)
    change(tree, place)
    with pytest.raises(DataError) as caught:
        open_index(tree)
    message = str(caught.value)
    assert f"{tree / place}: " in message and CHANGES[change] in message
    assert f"The tree has changed; run 'orbit-lite prep index {tree}' again." in message
    if change is not change_renamed:
        build_index(tree)
        open_index(tree)


def test_added_and_removed_videos_are_detected(tree):
    build_index(tree)
    (tree / "train/bob/cup/clean/new").mkdir()
    with pytest.raises(DataError, match=r"clean/new: on disk, not in index\.csv"):
        open_index(tree)
    (tree / "train/bob/cup/clean/new").rmdir()
    shutil.rmtree(tree / "train/bob/cup/clean/bob--cup--clean---e")
    with pytest.raises(DataError, match=r"bob--cup--clean---e: in index\.csv, not on disk"):
        open_index(tree)


def test_unchanged_folders_are_not_listed(tree, monkeypatch):
    """Only a folder that has changed since the last check is listed, and only once."""
    from data_prep.tree import index as module

    build_index(tree)
    later = time.time() + 60  # as if the folders had existed for a minute before the index was built
    os.utime(tree / "index.csv", (later, later))
    listed = []
    monkeypatch.setattr(module, "list_frames", lambda folder: listed.append(folder) or [])
    open_index(tree)
    assert listed == []


def test_a_checked_index_gets_the_time_of_its_check(tree):
    build_index(tree)
    os.utime(tree / "index.csv", (1, 1))
    before = time.time() - 60  # a change shortly before the check counts as unchecked
    open_index(tree)
    assert (tree / "index.csv").stat().st_mtime > before


def test_the_time_of_a_check_is_two_seconds_before_it_began(tree):
    """File systems round times by up to that: changes while a tree is listed must count as later."""
    margin_ns = 2 * 10**9
    for look in (build_index, open_index):
        before = time.time_ns()
        look(tree)
        assert before - margin_ns <= (tree / "index.csv").stat().st_mtime_ns <= time.time_ns() - margin_ns


def test_a_folder_whose_time_was_set_back_counts_as_changed(tree):
    """`cp -p` and archives set it. The time of that change itself can't be set."""
    place = tree / "test/ann/cup/clean/ann--cup--clean--c--d"
    build_index(tree)
    later = time.time() + 0.01
    time.sleep(0.02)
    os.utime(tree / "index.csv", (later, later))
    change_removed(tree, place.relative_to(tree).as_posix())
    os.utime(place, (1, 1))
    with pytest.raises(DataError, match="3 frames on disk, 4 in index"):
        open_index(tree)


def test_a_folder_with_exactly_the_time_of_the_check_counts_as_changed(tree, monkeypatch):
    from data_prep.tree import index as module

    build_index(tree)
    place = tree / "test/ann/cup/clean/ann--cup--clean--c--d"
    looked_at = []
    monkeypatch.setattr(module, "list_frames", lambda folder: looked_at.append(folder) or list_frames(folder))
    for after_ns, expected in ((0, True), (1, False)):
        moment_ns = place.stat().st_ctime_ns + after_ns
        os.utime(tree / "index.csv", ns=(moment_ns, moment_ns))
        looked_at.clear()
        open_index(tree)
        assert (place in looked_at) is expected


@pytest.mark.parametrize("later", ["tree", "cache"])
def test_the_newer_of_two_indexes_is_used(tree, tmp_path, monkeypatch, later):
    """A tree that was read-only has an index in the user's cache, and later perhaps one of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    build_index(tree)
    places = {"tree": tree / "index.csv", "cache": cache_folder(tree) / "index.csv"}
    places["cache"].parent.mkdir(parents=True)
    shutil.copy(places["tree"], places["cache"])
    for name, path in places.items():
        os.utime(path, (100, 200 if name == later else 100))
    assert find_index(tree) == places[later]
    places[later].unlink()
    assert find_index(tree) in places.values()
    for path in places.values():
        path.unlink(missing_ok=True)
    assert find_index(tree) is None


def test_a_users_rows_are_counted_and_removed_and_the_others_stay_checked(tree):
    index = build_index(tree)
    path = tree / "index.csv"
    os.utime(path, ns=(10**18, 10**18))
    assert [count_user(path, user) for user in ("ann", "bob", "eve")] == [3, 1, 0]
    assert drop_user(tree, path, "eve") == 0
    assert drop_user(tree, path, "ann") == 3
    assert read_rows(path) == index.select(user="bob")
    assert path.stat().st_mtime_ns == 10**18  # the time of the last check is kept
    assert drop_user(tree, path, "bob") == 1
    assert not path.exists()
    assert count_user(path, "ann") == 0


def cells_of(text, line, column, value):
    """index.csv with one cell changed."""
    lines = text.splitlines()
    cells = lines[line].split(",")
    cells[COLUMNS.index(column)] = value
    lines[line] = ",".join(cells)
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("column", COLUMNS)
def test_a_row_with_an_empty_cell_other_than_the_split_is_rejected(tree, column):
    build_index(tree)
    path = tree / "index.csv"
    path.write_text(cells_of(path.read_text(), 2, column, ""))
    if column == "split":
        assert [row.split for row in read_rows(path)].count("") == 1
    else:
        with pytest.raises(DataError, match=r"index\.csv: not an index"):
            read_rows(path)


@pytest.mark.parametrize(("frames", "legal"), [("1", True), ("0", False), ("-1", False), ("1.5", False)])
def test_a_video_has_at_least_one_frame(tree, frames, legal):
    build_index(tree)
    path = tree / "index.csv"
    path.write_text(cells_of(path.read_text(), 1, "frames", frames))
    if legal:
        assert 1 in [row.frames for row in read_rows(path)]
    else:
        with pytest.raises(DataError, match=r"index\.csv: not an index"):
            read_rows(path)


def test_a_row_with_too_many_cells_is_rejected(tree):
    build_index(tree)
    path = tree / "index.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:-1], lines[-1] + ",more"]) + "\n")
    with pytest.raises(DataError, match=r"index\.csv: not an index \(line 5\)"):
        read_rows(path)


@pytest.mark.parametrize("numbers", [[1, 2, 4], [2, 3], [0, 1], []])
def test_frames_with_a_gap_are_rejected(tree, numbers):
    place = "train/bob/cup/clean/v"
    (tree / place).mkdir()
    for number in numbers:
        (tree / frame(place, number)).write_bytes(b"x")
    with pytest.raises(DataError, match=r"clean/v: .* expected frames numbered without a gap"):
        build_index(tree)
    assert not (tree / "index.csv").exists()


def test_frames_with_a_gap_are_named(tree):
    place = tree / "train/bob/cup/clean/v"
    place.mkdir()
    with pytest.raises(DataError, match=r"0 frames, .* up to v-00001\.jpg; missing: no frame"):
        build_index(tree)
    for number in (1, 2, 5):
        (place / f"v-{number:05d}.jpg").write_bytes(b"x")
    with pytest.raises(DataError, match=r"3 frames, .* up to v-00003\.jpg; missing: v-00003\.jpg"):
        build_index(tree)


def test_the_record_of_a_check_counts_only_for_that_index(tree, tmp_path, monkeypatch):
    """It is written to the user's cache if the index is another user's file, whose time can't be set."""
    from data_prep.tree import index as module

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    build_index(tree)
    path, note = tree / "index.csv", cache_folder(tree) / "index-checked"
    note.parent.mkdir(parents=True)
    later = time.time() + 60
    looked_at = []
    monkeypatch.setattr(module, "list_frames", lambda folder: looked_at.append(folder) or list_frames(folder))
    for content, expected in ((hashlib.sha256(path.read_bytes()).hexdigest(), 0), ("another", len(VIDEOS))):
        note.write_text(content)
        os.utime(note, (later, later))
        os.utime(path, (1, 1))
        looked_at.clear()
        open_index(tree)
        assert len(looked_at) == expected


def test_only_changed_archives_of_a_packed_tree_are_read_again(tree, tmp_path, monkeypatch):
    from data_prep.tree import index as module

    pack(tree, tmp_path / "packed")
    index = open_index(tmp_path / "packed")
    assert index.fingerprint == open_index(tree).fingerprint
    opened = []
    monkeypatch.setattr(module, "packed_videos", lambda found: opened.append(found) or packed_videos(found))
    os.utime(tmp_path / "packed/index.csv", (1, 1))
    assert open_index(tmp_path / "packed") == index
    assert len(opened) == 2  # one archive per user
    assert time.time() - (tmp_path / "packed/index.csv").stat().st_mtime < 60  # the time of this check
    later = time.time() + 60
    os.utime(tmp_path / "packed/index.csv", (later, later))
    opened.clear()
    open_index(tmp_path / "packed")
    assert opened == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: "",
        lambda text: text.replace("fingerprint", "hash"),
        lambda text: text.replace(",3,", ",three,"),
        lambda text: text.rpartition(",")[0],
        lambda text: text + text.splitlines()[1] + "\n",
        lambda text: "\x00\x01\x02",
    ],
    ids=["empty", "columns", "number", "cut off", "twice", "binary"],
)
def test_a_malformed_index_is_rejected(tree, spoil):
    build_index(tree)
    text = (tree / "index.csv").read_text()
    (tree / "index.csv").write_text(spoil(text))
    with pytest.raises(DataError, match=r"index\.csv: not an index") as caught:
        open_index(tree)
    assert "\n" not in str(caught.value)


def test_an_empty_tree_is_rejected(tmp_path):
    with pytest.raises(UsageError, match="holds neither"):
        open_index(tmp_path)


# --- raw videos


def test_a_raw_tree_is_indexed_and_changes_are_detected(raw, encode_video, reported):
    index = open_index(raw)
    assert index.kind == "raw" and [row.frames for row in index.select(user="ben")] in ([23, 24], [24, 23])
    assert all((raw / row.path).is_file() for row in index.rows)
    reported()
    assert open_index(raw) == index and reported() == []
    encode_video(raw / "ben/cup/clean/four.mp4", pictures=30)
    with pytest.raises(DataError, match=r"four\.mp4: its size on disk differs from that in index\.csv"):
        open_index(raw)
    build_index(raw)
    encode_video(raw / "ben/cup/clean/six.mp4", pictures=5)
    with pytest.raises(DataError, match=r"six\.mp4: on disk, not in index\.csv"):
        open_index(raw)


def test_a_raw_video_that_does_not_decode_is_named(raw):
    (raw / "ben/cup/clean/bad.mp4").write_bytes(b"no video")
    with pytest.raises(DataError, match=r"bad\.mp4"):
        open_index(raw)
    assert not (raw / "index.csv").exists()


# --- read-only


SCRIPT = """
import logging, os, sys, time
from pathlib import Path
sys.path.insert(0, {root!r})
from data_prep.tree.index import open_index
import data_prep.video.frames, data_prep.video.probing
if os.getuid() == 0:
    os.setuid(65534)
logging.basicConfig(level=logging.INFO)  # to stderr
root = Path(sys.argv[1])
try:
    (root / "x").touch()
except OSError:
    first = open_index(root)
    print("AGAIN", file=sys.stderr)
    second = open_index(root)
    print(first == second, [str(p.name) for p in root.iterdir() if p.is_file()])
"""


@pytest.mark.skipif(os.name == "nt", reason="permissions are another thing on Windows")
@pytest.mark.parametrize("kind", ["frames", "raw"])
def test_a_read_only_tree_is_indexed_in_the_users_cache(request, kind):
    source = request.getfixturevalue("tree" if kind == "frames" else "raw")
    place = Path(tempfile.mkdtemp())  # pytest's own folders are closed to other users
    try:
        shutil.copytree(source, place / "ro/tree")
        (place / "cache").mkdir()
        for folder, mode in ((place, 0o755), (place / "cache", 0o777)):
            folder.chmod(mode)
        for path in [place / "ro", *(place / "ro").rglob("*")]:
            path.chmod(0o555 if path.is_dir() else 0o444)
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT.format(root=str(ROOT)), str(place / "ro/tree")],
            capture_output=True,
            text=True,
            env={**os.environ, "XDG_CACHE_HOME": str(place / "cache")},
            timeout=600,
        )
        if "AGAIN" not in done.stderr and "Permission" in done.stderr:
            pytest.skip("the other user can't import what is installed here: " + done.stderr.splitlines()[-1])
        assert done.stdout.startswith("True []"), done.stderr
        assert "has no index.csv yet" in done.stderr.partition("AGAIN\n")[0]
        assert done.stderr.rpartition("AGAIN\n")[2] == ""  # the second time nothing is built
        assert len(list((place / "cache").rglob("index.csv"))) == 1
    finally:
        for path in [place / "ro", *(place / "ro").rglob("*")]:
            if path.is_dir():
                path.chmod(0o755)
        shutil.rmtree(place)


@pytest.mark.parametrize(
    ("suffix", "message"),
    [
        (
            ".JPG",
            r"0 frames, .* missing: no frame\. It holds 3 files \.JPG: a frame's name must end in \.jpg, .* rename",
        ),
        (".png", r"It holds 3 files \.png: frames are JPEG files; 'orbit-lite prep images' makes frames"),
        (".txt", r"It holds 3 files \.txt\."),
    ],
)
def test_the_message_names_other_files_at_the_place_of_frames(tree, suffix, message):
    folder = tree / "test/ann/my keys/clean/ann--my-keys--clean--a"
    for path in folder.iterdir():
        path.rename(path.with_suffix(suffix))
    with pytest.raises(DataError, match=message):
        open_index(tree)


def test_an_index_that_a_spreadsheet_has_saved_is_read(tree):
    rows = build_index(tree).rows
    path = tree / "index.csv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_rows(path) == rows


def test_the_tree_and_the_cache_are_named_if_neither_can_be_written(tree, tmp_path, monkeypatch):
    cache = tmp_path / "a file"
    cache.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))

    def refused(path, text):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("data_prep.tree.index.write_text", refused)
    with pytest.raises(UsageError, match=rf"{tree}/index.csv: can't be written, .*{cache}.*set XDG_CACHE_HOME"):
        build_index(tree)
