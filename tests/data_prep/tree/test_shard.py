import random
from pathlib import Path

import pytest

from data_prep.tree.shard import MOST_SHARDS, Shard, files_of_shards, shard_of_file, shard_of_video
from groundwork.errors import UsageError

PLACES = [f"user{k % 67}/thing {k % 9}/clean/video{k}.mp4" for k in range(3822)]


@pytest.mark.parametrize("count", [1, 2, 3, 16, 1000])
def test_every_video_belongs_to_exactly_one_shard(count):
    shards = [Shard(number, count) for number in range(1, count + 1)]
    for place in PLACES[:200]:
        assert [shard for shard in shards if shard.owns(place)] == [shard_of_video(place, count)]


def test_a_share_does_not_depend_on_order_or_on_the_other_videos():
    shard = Shard(2, 3)
    whole = {place for place in PLACES if shard.owns(place)}
    some = random.Random(0).sample(PLACES, 1000)
    assert {place for place in some if shard.owns(place)} == whole & set(some)


def test_shards_are_about_equal():
    counts = [sum(Shard(number, 16).owns(place) for place in PLACES) for number in range(1, 17)]
    # 3822 / 16 = 239, standard deviation 15: four of them
    assert sum(counts) == len(PLACES) and min(counts) > 179 and max(counts) < 299


def test_the_share_is_the_same_on_every_machine():
    # sha256("a/b/clean/c.mp4") begins with 2b9a4174fa9385a7; a name in either form of its characters is the same name
    assert shard_of_video("a/b/clean/c.mp4", 16) == Shard(int("2b9a4174fa9385a7", 16) % 16 + 1, 16)
    assert shard_of_video("a/caf\u00e9/clean/c.mp4", 999) == shard_of_video("a/cafe\u0301/clean/c.mp4", 999)


@pytest.mark.parametrize("text", ["0/4", "5/4", "a/b", "", "3", "3/", "/4", "-1/4", "1/0", "1.5/4", "1/4/2", "1/1001"])
def test_bad_shards_are_refused(text):
    with pytest.raises(UsageError, match="expected a shard I/N with I from 1 to N") as told:
        Shard.parse(text)
    assert "\n" not in str(told.value) and text in str(told.value)


@pytest.mark.parametrize("text", ["1/1", "3/16", f"{MOST_SHARDS}/{MOST_SHARDS}"])
def test_a_shard_survives_being_written(text):
    assert str(Shard.parse(text)) == text
    name = Shard.parse(text).file_name("quality_videos.csv")
    assert shard_of_file(Path(name), "quality_videos.csv") == Shard.parse(text)


@pytest.mark.parametrize(
    "name", ["v.csv", "v-0-of-4.csv", "v-5-of-4.csv", "v-03-of-16.csv", "v-1-of-2.json", "w-1-of-2.csv"]
)
def test_other_files_are_no_shards(name):
    assert shard_of_file(Path(name), "v.csv") is None


def test_files_of_shards_come_in_the_order_of_their_numbers(tmp_path):
    for number in (10, 2, 1):
        (tmp_path / Shard(number, 10).file_name("v.csv")).touch()
    (tmp_path / "v.csv").touch()
    assert [shard.number for shard in files_of_shards(tmp_path, "v.csv")] == [1, 2, 10]
    assert files_of_shards(tmp_path / "none", "v.csv") == {}
