"""The checks of the output folder, shared by extract, images, resize, pack and split."""

import pytest

from data_prep.making.out_folder import refuse_foreign, refuse_foreign_videos, refuse_nested, videos_in
from groundwork.errors import UsageError


def fill(root, *places):
    for place in places:
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_bytes(b"x")
    return root


@pytest.mark.parametrize("out", ["source", "source/out", ".", "source/../source"])
def test_out_and_the_source_must_not_contain_each_other(tmp_path, out):
    fill(tmp_path / "source", "a")
    with pytest.raises(UsageError, match="expected a folder that is not inside"):
        refuse_nested(tmp_path / "source", tmp_path / out)


def test_out_is_a_folder_or_does_not_exist(tmp_path):
    fill(tmp_path, "source/a", "out")
    with pytest.raises(UsageError, match="is a file"):
        refuse_nested(tmp_path / "source", tmp_path / "out")
    refuse_nested(tmp_path / "source", tmp_path / "new")


@pytest.mark.parametrize(
    ("places", "expected", "foreign"),
    [
        ([], {"ann"}, None),
        (["ann/cup/x", "index.csv", "manifest.json", "annotations/x", ".lock", ".DS_Store"], {"ann"}, None),
        (["train/ann.zip"], {"train/ann.zip", "test/ben.zip"}, None),
        (["ann/cup/x", "ben/x", "notes.txt"], {"ann"}, r"\(ben, notes.txt\)"),
        (["train/cid.zip"], {"train/ann.zip"}, r"\(train/cid.zip\)"),
        (["ann.zip"], {"train/ann.zip"}, r"\(ann.zip\)"),
    ],
)
def test_out_holds_nothing_else(tmp_path, places, expected, foreign):
    fill(tmp_path / "out", *places)
    if foreign is None:
        refuse_foreign(tmp_path / "out", expected)
    else:
        with pytest.raises(UsageError, match=f"holds something else {foreign}; expected a new or empty folder"):
            refuse_foreign(tmp_path / "out", expected)


def test_a_new_tree_needs_an_empty_folder(tmp_path):
    with pytest.raises(UsageError, match=r"index\.csv"):
        refuse_foreign(fill(tmp_path / "out", "index.csv"), (), beside=())


@pytest.mark.parametrize("split", ["", "train/"])
def test_videos_are_found_in_type_folders_and_outside_of_them(tmp_path, split):
    frames = ["ann/cup/clean/v/v-00001.jpg", "ann/cup/w/w-00001.jpg", "ann/cup/clean/.x.part/x-00001.jpg"]
    out = fill(tmp_path, *(split + place for place in frames), "annotations/v.json")
    assert videos_in(out) == {f"{split}ann/cup/clean/v", f"{split}ann/cup/w"}
    refuse_foreign_videos(tmp_path / "raw", out, [])
    with pytest.raises(UsageError, match=r"contains videos that do not come from .*raw: .*ann/cup/w\. Remove them"):
        refuse_foreign_videos(tmp_path / "raw", out, [f"{split}ann/cup/w"])
