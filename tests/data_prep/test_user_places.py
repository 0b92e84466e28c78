import pytest

from data_prep.holdings import find_holdings, refuse_strange, user_levels, users_in
from groundwork.errors import FoundWrong


def touch(root, *places):
    for place in places:
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_bytes(b"x")
    return root


@pytest.mark.parametrize(
    ("places", "levels", "users"),
    [
        (["test/ann/cup/clean/v/v-00001.jpg", "train/ben.zip"], ("train", "test"), {"ann", "ben"}),
        (["ann/cup/clean/v/v-00001.jpg", "annotations/v.json"], ("",), {"ann"}),
        (["ann/cup/clean/v/v-00001.jpg", "other/ben/cup/clean/v/v-00001.jpg"], ("", "other"), {"ann", "ben"}),
        (["ann/cup/clean/a.mp4", "other/cup/clean/a.mp4"], ("",), {"ann", "other"}),
        (["ann--cup--T--a.mp4", "ben--cup--T--a--b.mov", "holiday.mp4", ".ann--cup--T--a.mp4"], ("",), {"ann", "ben"}),
        (["ann/cup/a.mp4", ".ben.part/cup/a.mp4"], ("",), {"ann"}),
    ],
)
def test_levels_and_users_of_every_kind_of_tree(places, levels, users, tmp_path):
    touch(tmp_path, *places)
    assert user_levels(tmp_path) == levels
    assert users_in(tmp_path, levels) == users


def test_a_holding_counts_what_is_in_it(tmp_path):
    touch(
        tmp_path, "ann/cup/clean/v/v-00001.jpg", "ann/cup/clean/v/v-00002.jpg", "ann/cup/clean/a.mp4", "ann/notes.txt"
    )
    [holding] = find_holdings(tmp_path, ("",), "ann")
    assert (holding.videos, holding.files, holding.size_bytes, holding.names) == (2, 4, 4, {"v"})
    assert str(holding) == f"{tmp_path / 'ann'}: 2 videos, 4 files, 0.0 kB"


@pytest.mark.parametrize(
    ("places", "fine"),
    [
        (["ann/cup/clean/a.mp4", "ann/cup/clutter-pan/b.mp4"], True),
        (["ann/cup/a.mp4"], True),
        (["ann/cup/v/v-00001.jpg"], True),
        (["ann/cup/clean/a.mp4", "ann/cup/letters/b.txt"], True),  # left aside by 'personalize', too
        (["ann/letters/2024/b.txt"], False),
        (["ann/letters/b.txt"], False),
        (["ann/b.txt"], False),
        (["ann.zip"], False),
    ],
)
def test_only_what_looks_like_a_users_may_be_removed(places, fine, tmp_path):
    [holding] = find_holdings(touch(tmp_path, *places), ("",), "ann")
    if fine:
        refuse_strange(holding)
    else:
        with pytest.raises(FoundWrong, match="left alone"):
            refuse_strange(holding)


def test_an_empty_folder_may_go(tmp_path):
    (tmp_path / "ann/cup").mkdir(parents=True)
    [holding] = find_holdings(tmp_path, ("",), "ann")
    refuse_strange(holding)
