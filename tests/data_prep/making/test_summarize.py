import csv
import math
import random
import re
from pathlib import Path

import pytest

from data_prep.making.summarize import COMBINED, spread_of, summarize, summary_markdown, summary_text, write_csv
from data_prep.tree.index import Index, VideoRow

# FACTS of the benchmark set: split, users, objects, clean videos, clutter videos (ORBIT paper)
PUBLISHED = [("train", 44, 278, 1814, 463), ("validation", 6, 50, 284, 63), ("test", 17, 158, 898, 300)]
PUBLISHED_FRAMES = 2_687_934
NOWHERE = Path("/there/is/no/such/tree")  # a summary opens no file


def make(*videos: tuple[str, str, str, str, int]) -> Index:
    rows = [
        VideoRow(split, user, thing, kind, f"v{number}", frames, f"p{number}", "f")
        for number, (split, user, thing, kind, frames) in enumerate(videos)
    ]
    return Index(NOWHERE, "frames", tuple(rows))


@pytest.fixture
def small() -> Index:
    return make(
        ("train", "ann", "cup", "clean", 10),
        ("train", "ann", "cup", "clean", 20),
        ("train", "ann", "cup", "clutter", 60),
        ("train", "ann", "my keys", "clean", 30),
        ("train", "bob", "cup", "clean", 40),
        ("test", "eve", "mug", "clean", 100),
    )


def published() -> Index:
    """An index with the published counts; their distribution over users, objects and frames is invented."""
    videos, draw = [], random.Random(0)
    for split, users, objects, clean, clutter in PUBLISHED:
        owners = [(f"{split}{number % users}", f"thing {number}") for number in range(objects)]
        videos += [(split, *owners[n % objects], "clean") for n in range(clean)]
        videos += [(split, *owners[n % objects], "clutter") for n in range(clutter)]
    frames = [draw.randint(40, 1000) for _ in videos]
    frames[0] += PUBLISHED_FRAMES - sum(frames)
    assert frames[0] > 0
    return make(*((*video, count) for video, count in zip(videos, frames, strict=True)))


def test_counts_by_hand(small):
    summary = summarize(small)
    both = summary.count()
    assert (both.users, both.objects, both.videos, both.frames) == (3, 4, 6, 260)
    clutter = summary.count("train", "clutter")
    assert (clutter.users, clutter.objects, clutter.videos, clutter.frames) == (1, 1, 1, 60)
    assert summary.count("test", "clutter").videos == 0


def test_spreads_by_hand(small):
    summary = summarize(small)
    clean = summary.spread("frames per video", "train", "clean")  # 10 20 30 40
    assert (clean.n, clean.mean, clean.p25, clean.p75, clean.minimum, clean.maximum) == (4, 25.0, 17.5, 32.5, 10, 40)
    assert clean.std == pytest.approx(math.sqrt(125))  # population: (225 + 25 + 25 + 225) / 4; the sample's is 12.9
    objects = summary.spread("objects per user", "train")  # ann 2, bob 1
    assert (objects.n, objects.mean, objects.std, objects.p25, objects.p75) == (2, 1.5, 0.5, 1.25, 1.75)
    videos = summary.spread("videos per object", "train")  # ann's cup 3, keys 1, bob's cup 1
    assert (videos.n, videos.mean, videos.minimum, videos.maximum) == (3, pytest.approx(5 / 3), 1, 3)
    clutter = summary.spread("videos per object", "train", "clutter")  # 1 0 0
    assert (clutter.n, clutter.mean, clutter.minimum) == (3, pytest.approx(1 / 3), 0)


def test_two_users_cups_are_two_objects(small):
    assert summarize(small).count("train").objects == 3


def test_one_row_per_user(small):
    ann, bob, eve = summarize(small).users  # train before test
    assert (ann.split, ann.user, ann.objects, ann.clean_videos, ann.clutter_videos) == ("train", "ann", 2, 3, 1)
    assert (ann.clean_frames, ann.clutter_frames, ann.clean_frames_per_video) == (60, 60, 20.0)
    assert (bob.user, bob.clutter_videos, bob.clutter_frames_per_video) == ("bob", 0, None)
    assert eve.split == "test"


def test_no_values_have_no_spread(small):
    assert spread_of([]).mean is None
    assert summarize(small).spread("frames per video", "test", "clutter").n == 0


def test_a_tree_without_splits():
    summary = summarize(make(("", "ann", "cup", "clean", 7)))
    assert [row.split for row in summary.counts if row.video_type == "both"] == ["none", COMBINED]
    assert summary.count("none").frames == summary.count().frames == 7


def test_unknown_splits_and_measures_are_errors(small):
    with pytest.raises(ValueError, match="validation"):
        summarize(small).count("validation")
    with pytest.raises(ValueError, match="hats"):
        summarize(small).spread("hats")


def test_full_size_has_the_published_table():
    summary = summarize(published())
    for split, users, objects, clean, clutter in PUBLISHED:
        both = summary.count(split)
        assert (both.users, both.objects) == (users, objects)
        assert [summary.count(split, kind).videos for kind in ("clean", "clutter")] == [clean, clutter]
    both = summary.count()
    assert (both.users, both.objects, both.videos, both.frames) == (67, 486, 3822, PUBLISHED_FRAMES)
    # 278/44, 50/6, 158/17: the published means 6.3, 8.3, 9.3
    text = summary_text(summary)
    assert [text.count(f"  {mean} (") for mean in ("6.3", "8.3", "9.3")] == [1, 1, 1]
    assert len(summary.users) == 67


@pytest.mark.parametrize("kind", ["clean", "clutter", "both"])
@pytest.mark.parametrize("split", ["train", "validation", "test", COMBINED])
def test_mean_times_n_is_the_total(split, kind):
    summary = summarize(published())
    count = summary.count(split, kind)
    for name, total in (
        ("objects per user", count.objects),
        ("videos per object", count.videos),
        ("frames per video", count.frames),
    ):
        spread = summary.spread(name, split, kind)
        assert spread.mean * spread.n == pytest.approx(total)


def test_rows_in_any_order_give_the_same(small):
    assert summarize(Index(NOWHERE, "frames", small.rows[::-1])) == summarize(small)


def test_text_is_plain_and_explains_std(small):
    text = summary_text(summarize(small))
    assert text.isascii() and "population" in text
    (line,) = [line for line in text.splitlines() if line.startswith("train ") and line.endswith("(1-2)")]
    assert line.split() == ["train", "2", "3", "4", "1", "160", "1.5", "(1-2)"]


def test_control_characters_are_escaped():
    text = summary_text(summarize(make(("", "ann\x1b[2J", "cup", "clean", 7))))
    assert "ann\\x1b[2J" in text and "\x1b" not in text


def test_names_are_shortened_for_a_narrow_terminal_and_counts_are_not(small):
    long = make(("train", "ann-" * 30, "cup", "clean", 1234567))
    whole, narrow = (summary_text(summarize(long), width=width).split("\n\n")[-2] for width in (None, 140))
    assert max(map(len, whole.splitlines())) > 140 >= max(map(len, narrow.splitlines()))
    assert "..." in narrow and "1,234,567" in narrow


def test_markdown_tables_are_complete_and_have_headings():
    text = summary_markdown(summarize(make(("", "a|b", "cup", "clean", 7))))
    for block in text.split("\n\n"):
        if block.startswith("|"):
            assert len({line.replace("\\|", "").count("|") for line in block.splitlines()}) == 1
    assert "population" in text and "a\\|b" in text
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings == ["## Splits", "## Objects per user", "## Videos per object", "## Frames per video", "## Users"]
    assert "| --- | --- | ---: | ---: |" in text  # numbers are aligned to the right


def test_csv_holds_every_number(small, tmp_path):
    summary = summarize(small)
    paths = write_csv(summary, tmp_path / "new")
    assert [path.name for path in paths] == ["counts.csv", "spreads.csv", "users.csv"]
    counts, spreads, users = ([*csv.DictReader(path.open(encoding="utf-8"))] for path in paths)
    assert len(counts) == 9 and len(spreads) == 27 and len(users) == 3
    (row,) = [
        r for r in spreads if (r["split"], r["video_type"], r["measure"]) == ("train", "clean", "frames per video")
    ]
    assert float(row["std"]) == math.sqrt(125)
    (empty,) = [
        r for r in spreads if (r["split"], r["video_type"], r["measure"]) == ("test", "clutter", "frames per video")
    ]
    assert (empty["n"], empty["mean"]) == ("0", "")


def test_a_single_value_has_no_standard_deviation(tmp_path):
    spread = spread_of([7])
    assert (spread.n, spread.mean, spread.std) == (1, 7.0, None)
    summary = summarize(make(("train", "ann", "cup", "clean", 10)))
    (line,) = [line for line in summary_text(summary).splitlines() if re.match(r"train +clean +1 +10\.0", line)]
    assert line.split()[:5] == ["train", "clean", "1", "10.0", "-"]
    write_csv(summary, tmp_path)
    found = list(csv.DictReader((tmp_path / "spreads.csv").open()))
    assert {line["std"] for line in found if line["n"] == "1"} == {""}
