"""Nothing outside the tree is ever touched: each path of a tree in turn is a link, or becomes one in the meantime."""

import csv
import json
import os
import shutil
from pathlib import Path

import pytest

from data_prep.archives.download import RECORD_NAME, RECORD_SCHEMA
from data_prep.forgetting.forget import forget_user, plan_forget
from data_prep.making.run import JOURNAL_NAME
from data_prep.making.summarize import summarize, write_csv
from data_prep.tree.index import build_index
from data_prep.tree.layout import cache_folder
from data_prep.tree.naming import table_path
from groundwork import removal
from groundwork.errors import DataError

VIDEO = "ann--cup--clean--a"
FOLDER = f"test/ann/cup/clean/{VIDEO}"
OTHERS = "test/bob/cup/clean/bob--cup--clean--a"
# Every file of the tree that has data of ann, and every folder on the path to it.
IN_TREE = (
    "test",
    "test/ann",
    "test/ann/cup",
    "test/ann/cup/clean",
    FOLDER,
    f"{FOLDER}/{VIDEO}-00001.jpg",
    "test/.ann.part",
    "test/.ann.part/cup",
    "test/.ann.zip.part",
    "annotations",
    "annotations/test",
    f"annotations/test/{VIDEO}.json",
    ".annotations.part",
    ".annotations.part/test",
    "index.csv",
    "manifest.json",
    JOURNAL_NAME,
    RECORD_NAME,
    "quality_videos.csv",
    "quality_frames.csv",
    "counts.csv",
    "spreads.csv",
    "users.csv",
    ".index.csv.part",
)
BESIDE = ("private names", "cache", "cache of the tree", "cached index", "cached names")
# What is left and reported as still there if it is a link. The others are removed as links, or need no change.
STAYS = {
    *("test", "annotations", "annotations/test", "index.csv", "manifest.json", JOURNAL_NAME, RECORD_NAME),
    *("quality_videos.csv", "quality_frames.csv", "counts.csv", "spreads.csv", "users.csv"),
    *("private names", "cache", "cache of the tree", "cached index", "cached names"),
}


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def make_tree(root):
    """Two users with one video each, and everything that the kit writes about them."""
    for place in (FOLDER, OTHERS):
        name = place.rpartition("/")[2]
        for number in (1, 2):
            write(root / place / f"{name}-0000{number}.jpg", f"{name} {number}")
        write(root / f"annotations/test/{name}.json", "{}")
    write_csv(summarize(build_index(root)), root)
    for table in ("quality_videos.csv", "quality_frames.csv"):
        write(root / table, "split,user\ntest,ann\ntest,bob\n")
    records = {place: {"frames": 2, "mark": ""} for place in (FOLDER, OTHERS)}
    write(root / "manifest.json", json.dumps({"schema": 2, "made_by": {}, "videos": records}))
    write(root / JOURNAL_NAME, "".join(json.dumps({place: record}) + "\n" for place, record in records.items()))
    split = {"source": "x.zip", "form": "224 px", "videos": 2, "md5": ""}
    write(root / RECORD_NAME, json.dumps({"schema": RECORD_SCHEMA, "splits": {"test": split}}))
    write(root / f"test/.ann.part/cup/clean/{VIDEO}/{VIDEO}-00001.jpg", "left")
    write(root / "test/.ann.zip.part", "left")
    write(root / f".annotations.part/test/{VIDEO}.json", "left")
    write(root / ".index.csv.part", f"test,ann,cup,clean,{VIDEO}")
    names = {f"test/{user}/cup/clean/a.mp4": f"{user}--cup--clean--a" for user in ("ann", "bob")}
    private = json.dumps({"schema": 1, "keep_names": False, "key": "00", "names": names})
    write(table_path(root), private)
    write(cache_folder(root) / "video-names.json", private)
    shutil.copy2(root / "index.csv", cache_folder(root) / "index.csv")
    return root


def place_of(root, which):
    """The path for a name in IN_TREE or BESIDE."""
    cache = cache_folder(root)
    beside = (table_path(root), cache.parent, cache, cache / "index.csv", cache / "video-names.json")
    return dict(zip(BESIDE, beside, strict=True)).get(which, root / which)


def move_behind_link(path, away):
    """Moves a file or folder elsewhere, and puts a link to it in its place."""
    away.mkdir(exist_ok=True)
    shutil.move(path, away / path.name)
    path.symlink_to(away / path.name)


def content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def traces(folder):
    """Paths and files with data of ann; links are not followed."""
    found = []
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(parent, name)
            holds = path.is_file() and not path.is_symlink() and b"ann" in path.read_bytes()
            if holds or "ann" in name.replace("annotations", "").split(".")[0].split("--"):
                found.append(path)
    return found


@pytest.fixture(params=[True, False], ids=["by handle", "by path"])
def method(request, monkeypatch):
    """Both methods of removal: by handle, and by path as on Windows, which has no handles."""
    if request.param and not removal._BY_HANDLE:
        pytest.skip("this system has no folder handles")
    monkeypatch.setattr(removal, "_BY_HANDLE", request.param)


def test_without_links_everything_is_removed(tmp_path, own_cache, method):
    root = make_tree(tmp_path / "tree")
    forgotten = forget_user(root, "ann")
    assert (forgotten.left, forgotten.remaining) == ((), ())
    assert traces(tmp_path) == traces(own_cache) == []
    assert len(list((root / OTHERS).iterdir())) == 2


@pytest.mark.parametrize("which", [*IN_TREE, *BESIDE])
def test_nothing_behind_a_link_is_touched(which, tmp_path, own_cache, method):
    root, away = make_tree(tmp_path / "tree"), tmp_path / "away"
    path = place_of(root, which)
    move_behind_link(path, away)
    before = content(away)
    assert before
    forgotten = forget_user(root, "ann")
    assert content(away) == before
    if which in STAYS:
        assert path.is_symlink() and any(str(path) in line and "link" in line for line in forgotten.remaining)
    else:
        assert forgotten.remaining == ()
    assert path.is_symlink() == (which in STAYS or which.startswith(".annotations"))
    others = {line for line in (*traces(root), *traces(own_cache)) if not line.is_relative_to(path)}
    beside = {
        place_of(root, name) for name in ("counts.csv", "spreads.csv", "users.csv")
    }  # written together or not at all
    assert others <= (beside if path in beside else set())
    assert (root / OTHERS).is_dir()


@pytest.mark.parametrize("which", [*IN_TREE, *BESIDE])
def test_a_link_that_appears_after_the_listing_is_not_followed(which, tmp_path, own_cache, method):
    root, away = make_tree(tmp_path / "tree"), tmp_path / "away"
    path = place_of(root, which)
    plan = plan_forget(root, "ann")
    move_behind_link(path, away)
    before = content(away)
    forgotten = plan.carry_out()
    assert content(away) == before
    assert bool(forgotten.remaining) == (
        which not in ("spreads.csv", "counts.csv")
    )  # written again, whether links or not


def test_a_tree_replaced_after_the_listing_is_left(tmp_path, method):
    root, other = make_tree(tmp_path / "tree"), make_tree(tmp_path / "other")
    plan = plan_forget(root, "ann")
    root.rename(tmp_path / "away")
    root.symlink_to(other)
    before = content(other)
    removed = plan.carry_out().removed
    assert [line for line in removed if line.startswith(f"{root}/")] == []
    assert content(other) == before


def test_the_tree_may_be_named_by_a_link(tmp_path, own_cache, method):
    make_tree(tmp_path / "tree")
    (tmp_path / "link").symlink_to(tmp_path / "tree")
    assert any(str(tmp_path / "tree/test/ann") in line for line in forget_user(tmp_path / "link", "ann").removed)
    assert traces(tmp_path / "tree") == []


def test_if_a_split_is_a_link_the_user_can_be_forgotten_there(tmp_path, own_cache):
    root, away = make_tree(tmp_path / "tree"), tmp_path / "away"
    move_behind_link(root / "test", away)
    [remaining] = forget_user(root, "ann").remaining
    assert remaining.endswith(f"orbit-lite forget --data '{away / 'test'}' --user 'ann'")
    forget_user(away / "test", "ann")
    again = forget_user(root, "ann")
    assert (again.remaining, again.removed) == ((), ()) and "already gone" in again.note
    assert [row["user"] for row in csv.DictReader((root / "index.csv").open())] == ["bob"]


def test_a_folder_of_photos_is_not_a_user(tmp_path):
    for place in ("Photos/2023/clean/holiday.txt", "Photos/2023/clean/IMG_1.jpg", "Photos/2022/beach.jpg"):
        write(tmp_path / place, "ours")
    before = content(tmp_path)
    forgotten = forget_user(tmp_path, "Photos")
    assert content(tmp_path) == before
    assert forgotten.removed == () and forgotten.left == (
        f"{tmp_path / 'Photos'}: a folder of 3 files, none of them this kit's",
    )


def test_only_videos_are_removed_from_a_folder_with_other_files(tmp_path, own_cache):
    root = make_tree(tmp_path / "tree")
    kept = ("test/ann/notes.txt", f"{FOLDER}/sketch.png", "test/ann/taxes/2023/form.pdf", "annotations/ann--list.json")
    for place in kept:
        write(root / place, "mine")
    forgotten = forget_user(root, "ann")
    assert {path.relative_to(root).as_posix() for path in content(root / "test/ann")} == set(kept[:3])
    assert sorted(line.split(": ")[0] for line in forgotten.left) == sorted(str(root / place) for place in kept)
    assert all((root / place).read_text() == "mine" for place in kept)
    again = forget_user(root, "ann")
    assert f"{root / 'test/ann'}: a folder of 3 files, none of them this kit's" in again.left
    assert not again.removed and not again.remaining and "already gone" in again.note


@pytest.mark.parametrize("name", ["ANN", "an-n", " ann"])
def test_a_mistyped_name_is_rejected(name, tmp_path):
    root = make_tree(tmp_path / "tree")
    before = content(tmp_path)
    with pytest.raises(DataError, match=r"did you mean 'ann'\? Nothing was removed"):
        forget_user(root, name)
    assert content(tmp_path) == before


def test_a_plan_changes_nothing(tmp_path, own_cache):
    root = make_tree(tmp_path / "tree")
    before = content(tmp_path) | content(own_cache)
    lines = str(plan_forget(root, "ann")).splitlines()
    assert content(tmp_path) | content(own_cache) == before
    assert all(line.startswith("to remove: ") for line in lines)
    for line in (f"{root / 'test/ann'}: 1 video, 2 files, 0.0 kB", f"{root / 'annotations'}: 2 files"):
        assert f"to remove: {line}" in lines
