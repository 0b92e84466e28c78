import pytest

from data_prep.forgetting.user_places import user_levels, users_in


@pytest.mark.parametrize(
    ("places", "levels", "users"),
    [
        (["test/ann/cup/clean/v/v-00001.jpg", "train/ben.zip"], ("train", "test"), {"ann", "ben"}),
        (["ann/cup/clean/v/v-00001.jpg", "annotations/v.json"], ("",), {"ann"}),
        (["ann/cup/clean/v/v-00001.jpg", "other/ben/cup/clean/v/v-00001.jpg"], ("", "other"), {"ann", "ben"}),
        (["ann/cup/clean/a.mp4", "other/cup/clean/a.mp4"], ("",), {"ann", "other"}),
        (["ann/cup/a.mp4", "other/cup/a.mp4"], ("",), {"ann", "other"}),
        (["ann/cup/a.mp4", "other/ben/cup/a.mp4"], ("", "other"), {"ann", "ben"}),
        (["ann--cup--T--a.mp4", "ben--cup--T--a--b.mov", "holiday.mp4", ".ann--cup--T--a.mp4"], ("",), {"ann", "ben"}),
        (["ann/cup/a.mp4", ".ben.part/cup/a.mp4"], ("",), {"ann"}),
    ],
)
def test_levels_and_users_of_all_kinds_of_trees(places, levels, users, tmp_path):
    for place in places:
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes(b"x")
    assert user_levels(tmp_path) == levels
    assert users_in(tmp_path, levels) == users
