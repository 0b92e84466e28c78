"""Makes frame trees from folders of real picture files, in all layouts and with all kinds of bad files."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_prep.making.images import ImageSettings, make_images
from data_prep.making.pack import pack
from data_prep.making.resize import resize
from data_prep.tree.index import open_index
from data_prep.tree.layout import MANIFEST_NAME
from data_prep.tree.own_videos import scan_own
from data_prep.tree.stills import is_stills
from data_prep.video import encode_jpeg, read_frames
from groundwork.errors import DataError, UsageError

ROOT = Path(__file__).parents[3]
SIZE_PX = 32
SMALL = ImageSettings(SIZE_PX)


def noise(seed, size=(60, 48)):
    """Coarse noise, so that pictures still differ after JPEG compression."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture
def put(tmp_path):
    """Saves a different picture at each place below a folder, by default `src`."""
    count = [0]

    def save(*places, source="src", **how):
        for place in places:
            path = tmp_path / source / place
            path.parent.mkdir(parents=True, exist_ok=True)
            count[0] += 1
            noise(count[0]).save(path, **how)
        return tmp_path / source

    return save


@pytest.fixture
def made(tmp_path):
    """Makes the tree; gives each video's place (split, user, object, type), ID and number of frames."""

    def make(source, out="out", **settings):
        make_images(source, tmp_path / out, settings=ImageSettings(SIZE_PX, **settings), workers=1)
        rows = open_index(tmp_path / out).rows
        return [
            ("/".join(filter(None, (r.split, r.user, r.object, r.video_type))), r.video.rpartition("--")[2], r.frames)
            for r in rows
        ]

    return make


# --- layouts


def test_one_users_folder(put, made):
    source = put("mug/IMG_10.jpg", "mug/IMG_2.jpg", "my keys/a.png", "my keys/clutter/b.webp", source="alice")
    assert made(source) == [
        ("alice/mug/clean", "stills-0001", 1),
        ("alice/mug/clean", "stills-0002", 1),
        ("alice/my keys/clean", "stills-0001", 1),
        ("alice/my keys/clutter", "stills-0001", 1),
    ]


def test_several_users(put, made):
    source = put("ann/mug/a.jpg", "ann/mug/clean/b.jpg", "ben/mug/a.jpg", "ben/mug/clutter/b.jpg")
    assert [place for place, _, _ in made(source)] == ["ann/mug/clean"] * 2 + ["ben/mug/clean", "ben/mug/clutter"]


def test_with_a_given_user_all_levels_belong_to_the_object(put, made):
    source = put("ann/mug/a.jpg", "bird/house sparrow/male/a.jpg")
    places = [place for place, _, _ in made(source, user="set")]
    assert places == ["set/ann mug/clean", "set/bird house sparrow male/clean"]


def test_classes_at_several_depths_are_one_users_with_a_note(put, made, reported):
    source = put("cat/a.jpg", "bird/sparrow/a.jpg", "bird/sparrow/male/a.jpg", source="animals")
    places = [place for place, _, _ in made(source)]
    assert places == ["animals/bird sparrow/clean", "animals/bird sparrow male/clean", "animals/cat/clean"]
    assert [line for line in reported() if "pictures are directly in cat" in line and "--user animals" in line]


@pytest.mark.parametrize("validation", ["validation", "val"])
def test_splits_if_these_are_the_top_folders(put, made, tmp_path, validation):
    source = put("train/cat/a.jpg", "train/dog/a.jpg", f"{validation}/cat/a.jpg", "test/cat/a.jpg", source="pets")
    assert made(source) == [
        ("test/pets/cat/clean", "stills-test-0001", 1),
        ("train/pets/cat/clean", "stills-train-0001", 1),
        ("train/pets/dog/clean", "stills-train-0001", 1),
        ("validation/pets/cat/clean", "stills-validation-0001", 1),
    ]
    names = [row.video for row in open_index(tmp_path / "out").rows]
    assert len(set(names)) == len(names)  # predictions name videos


def test_a_class_may_be_called_test_if_there_are_others(put, made):
    places = [place for place, _, _ in made(put("test/a.jpg", "rest/a.jpg", source="set"))]
    assert places == ["set/rest/clean", "set/test/clean"]


def test_clutter_from_a_split(put, made):
    source = put("train/ann/mug/a.jpg", "train/ann/mug/b.jpg", "test/ann/mug/c.jpg")
    assert made(source, clutter_from="test") == [
        ("ann/mug/clean", "stills-0001", 1),
        ("ann/mug/clean", "stills-0002", 1),
        ("ann/mug/clutter", "stills-0001", 1),
    ]


@pytest.mark.parametrize(
    ("places", "settings", "error", "message"),
    [
        ([], {}, UsageError, "has no pictures"),
        (["a.jpg"], {}, DataError, r"a\.jpg; expected.*If src is an object, give its parent folder"),
        (["a.jpg", "mug/b.jpg"], {}, DataError, r"1 picture not in an object's folder: a\.jpg"),
        (["clean/a.jpg"], {}, DataError, "not in an object's folder"),
        (["train/a.jpg", "test/mug/a.jpg"], {}, DataError, r"not in an object's folder: train/a\.jpg"),
        (
            ["a b/c/x.jpg", "a/b c/y.jpg"],
            {"user": "ann"},
            DataError,
            "a b/c and a/b c would both be the object 'a b c'",
        ),
        (["my keys/x.jpg", "my-keys/y.jpg"], {}, DataError, "differ only in dashes"),
        (["train/mug/x.jpg", "extra/mug/y.jpg"], {}, DataError, "'train' has another meaning in a tree"),
        (["mug/x.jpg"], {"user": "train"}, UsageError, "'train' has another meaning"),
        (["mug/x.jpg"], {"user": "../ann"}, UsageError, "expected the name of one user's folder"),
        (["mug/x.jpg"], {"clutter_from": "test"}, UsageError, "no split 'test' to take clutter from; it has none"),
        (["train/mug/x.jpg"], {"clutter_from": "test"}, UsageError, "it has train"),
        (["mug/x.jpg", "mug/clutter/y.jpg"], {"clutter": 0.5}, UsageError, r"already has folders of clutter \(mug\)"),
        (["mug/x.jpg"], {"clutter": 0.5, "clutter_from": "test"}, UsageError, "not both"),
        (["mug/x.jpg"], {"burst": 0}, UsageError, "bursts of 0"),
        (["mug/x.jpg"], {"shape": "round"}, UsageError, "no shape 'round'"),
        (["ann/mug/clean/v/v-00001.jpg"], {}, UsageError, "is already a frame tree"),
        ([f"{'m' * 120}/{'n' * 120}/x.jpg"], {}, DataError, "240 bytes"),
    ],
)
def test_invalid_sources_are_one_line_and_nothing_is_written(put, tmp_path, places, settings, error, message):
    (tmp_path / "src").mkdir()
    source = put(*places)
    with pytest.raises(error, match=message) as caught:
        make_images(source, tmp_path / "out", settings=ImageSettings(SIZE_PX, **settings), workers=1)
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()


def test_out_and_the_source_must_not_contain_each_other(put):
    source = put("mug/a.jpg")
    for out in (source, source / "out", source.parent):
        with pytest.raises(UsageError, match="expected a folder that is not inside"):
            make_images(source, out, settings=SMALL)
    assert [path.name for path in source.rglob("*") if path.is_file()] == ["a.jpg"]


def test_a_circle_of_links_ends(put, made):
    source = put("mug/a.jpg")
    (source / "mug/again").symlink_to(source)
    assert len(made(source)) == 1


# --- bursts and clutter


def test_a_burst_is_a_video_of_consecutive_pictures(put, made):
    source = put(*(f"mug/IMG_{number}.jpg" for number in range(1, 12)), source="ann")
    assert made(source, burst=5) == [("ann/mug/clean", f"stills-{k:04d}", n) for k, n in ((1, 5), (2, 5), (3, 1))]


def test_pictures_of_a_burst_are_in_natural_order(put, made, tmp_path):
    source = put("mug/IMG_2.png", "mug/IMG_10.png", "mug/IMG_1.png", "mug/IMG_1 (2).png", source="ann")
    made(source, burst=10)
    for number, name in enumerate(["IMG_1", "IMG_1 (2)", "IMG_2", "IMG_10"], start=1):
        (frame,) = (tmp_path / "out").rglob(f"*-0000{number}.jpg")
        (expected,) = read_frames(source / f"mug/{name}.png", size_px=SIZE_PX)
        assert frame.read_bytes() == encode_jpeg(expected)


def test_clutter_is_drawn_by_object_and_seed(put, made):
    source = put(*(f"{thing}/{k}.jpg" for thing in ("mug", "bag") for k in range(10)), "pen/0.jpg", source="ann")
    drawn = {seed: made(source, f"out {seed}", clutter=0.3, seed=seed) for seed in (0, 1)}
    for rows in drawn.values():
        counts = {place: sum(row[0] == place for row in rows) for place, _, _ in rows}
        assert counts == {
            "ann/bag/clean": 7,
            "ann/bag/clutter": 3,
            "ann/mug/clean": 7,
            "ann/mug/clutter": 3,
            "ann/pen/clean": 1,
        }
    assert drawn[0] == made(source, "again", clutter=0.3, seed=0) != drawn[1]


@pytest.mark.parametrize(("count", "share", "clutter"), [(2, 0.01, 1), (2, 0.99, 1), (10, 0.25, 2), (4, 0.5, 2)])
def test_two_or_more_videos_give_both_clean_and_clutter(put, made, count, share, clutter):
    rows = made(put(*(f"mug/{k}.jpg" for k in range(count))), clutter=share)
    assert sum("clutter" in place for place, _, _ in rows) == clutter


def test_whole_bursts_become_clutter(put, made):
    rows = made(put(*(f"mug/{k}.jpg" for k in range(12)), source="ann"), burst=3, clutter=0.5)
    assert [(place, frames) for place, _, frames in rows] == [("ann/mug/clean", 3)] * 2 + [("ann/mug/clutter", 3)] * 2


def test_stills_are_distinguished_from_film_in_every_copy(put, made, tmp_path):
    made(put(*(f"mug/{k}.jpg" for k in range(35)), source="ann"), burst=35)
    pack(tmp_path / "out", tmp_path / "packed")
    resize(tmp_path / "out", tmp_path / "small", size_px=16, workers=1)
    for tree in ("out", "packed", "small"):
        (row,) = open_index(tmp_path / tree).rows
        assert row.frames == 35 and row.is_stills
    for own in ("out/ann", "packed/ann.zip"):
        (video,) = scan_own(tmp_path / own).videos
        assert video.is_stills(35)
    assert not is_stills("ann--mug--clean--a film", 35)


# --- pixels


@pytest.mark.parametrize("shape", ["crop", "pad", "squash"])
def test_a_frame_is_the_picture_scaled_by_lanczos(put, tmp_path, shape):
    source = put("mug/a.png")
    make_images(source, tmp_path / "out", settings=ImageSettings(SIZE_PX, shape), workers=1)
    (frame,) = (tmp_path / "out").rglob("*.jpg")
    (expected,) = read_frames(source / "mug/a.png", size_px=SIZE_PX, shape=shape)
    assert frame.read_bytes() == encode_jpeg(expected)


def test_names_and_metadata_are_not_copied(put, made, tmp_path, tree_bytes):
    exif = Image.Exif()
    exif[0x010E] = "my kitchen"
    made(put("mug/kitchen 2024.jpg", exif=exif, comment=b"my kitchen"))
    held = tree_bytes(tmp_path / "out")
    assert not [place for place, content in held.items() if "kitchen" in place or b"kitchen" in content]


def test_the_manifest_says_what_was_done(put, made, tmp_path):
    made(put("mug/a.jpg", "mug/b.jpg"), burst=2)
    manifest = json.loads((tmp_path / "out" / MANIFEST_NAME).read_text())
    settings = {"size_px": SIZE_PX, "shape": "crop", "burst": 2, "clutter": 0.0, "clutter_from": "", "user": ""}
    assert manifest["made_by"] == {"verb": "images", **settings, "quality": 95, "resample": "lanczos"}
    ((place, record),) = manifest["videos"].items()
    assert place.endswith("--stills-0001") and record["frames"] == 2 and record["reader"].startswith("Pillow")


# --- bad pictures


def failing(source, out, reported, **settings):
    """Makes the tree of a source with bad pictures; gives the lines about them, and the last line."""
    reported()
    with pytest.raises(DataError) as caught:
        make_images(source, out, settings=ImageSettings(SIZE_PX, **settings), workers=2)
    return [line.removeprefix("failed: ") for line in reported() if line.startswith("failed: ")], str(caught.value)


def test_bad_pictures_are_listed_with_reasons_and_the_others_are_used(put, tmp_path, reported):
    source = put(
        "mug/good.jpg", "mug/cut.jpg", "mug/text.jpg", "mug/empty.png", "bag/bomb.png", "bag/dot.png", "bag/a.gif"
    )
    (source / "mug/cut.jpg").write_bytes((source / "mug/cut.jpg").read_bytes()[:500])
    (source / "mug/text.jpg").write_text("hello")
    (source / "mug/empty.png").write_bytes(b"")
    Image.new("1", (20_000, 10_001)).save(source / "bag/bomb.png")
    Image.new("RGB", (1, 1)).save(source / "bag/dot.png")
    lines, last = failing(source, tmp_path / "out", reported)
    message = dict(line.split(": ", 1) for line in lines)
    assert sorted(message) == ["bag/bomb.png", "bag/dot.png", "mug/cut.jpg", "mug/empty.png", "mug/text.jpg"]
    assert "200020000 pixels, expected at most 120 million" in message["bag/bomb.png"]
    assert "1 x 1 pixels, expected 8 or more" in message["bag/dot.png"]
    assert "does not decode" in message["mug/cut.jpg"] and "empty file" in message["mug/empty.png"]
    assert "5 of 7 pictures can't be used: bag/bomb.png" in last
    assert sorted(row.object for row in open_index(tmp_path / "out").rows) == ["bag", "mug"]


def test_no_usable_picture(put, tmp_path, reported):
    source = put("mug/a.jpg")
    (source / "mug/a.jpg").write_text("hello")
    lines, last = failing(source, tmp_path / "out", reported)
    assert len(lines) == 1 and "no usable picture among 1" in last
    assert not (tmp_path / "out").exists()


def test_copies_within_an_object_are_used_once(put, made, reported):
    source = put("mug/b.png", "mug/clutter/c.png", source="ann")
    (source / "mug/a.png").write_bytes((source / "mug/b.png").read_bytes())
    Image.open(source / "mug/b.png").save(source / "mug/b.bmp")  # different bytes, same pixels
    Image.open(source / "mug/b.png").save(source / "mug/clutter/b.png")
    assert [place for place, _, _ in made(source)] == ["ann/mug/clean", "ann/mug/clutter"]
    (line,) = [line for line in reported() if "left out" in line]
    assert "3 copies of other pictures" in line and "mug/clutter/b.png (of mug/a.png)" in line


def test_a_picture_under_two_objects_is_an_error_that_names_both(put, tmp_path, reported):
    source = put("mug/a.png", "bag/b.png", "bag/c.png")
    (source / "bag/a.png").write_bytes((source / "mug/a.png").read_bytes())
    lines, last = failing(source, tmp_path / "out", reported)
    assert lines[0].startswith("bag/a.png: the same picture as mug/a.png")
    assert lines[1].startswith("mug/a.png: the same picture as bag/a.png")
    assert "2 of 4 pictures" in last
    assert [row.object for row in open_index(tmp_path / "out").rows] == ["bag", "bag"]


def test_the_first_picture_of_an_animation_is_used_with_a_note(put, made, reported):
    source = put("mug/a.gif", save_all=True, append_images=[noise(99)])
    made(source)
    assert [line for line in reported() if "only the first picture of 1 animation was used: mug/a.gif" in line]


def test_other_files_are_named_and_hidden_ones_are_not(put, made, reported):
    source = put("mug/a.jpg", "mug/._a.jpg", ".thumbs/mug/a.jpg")
    for name in ("film.mov", "notes.txt"):
        (source / "mug" / name).write_text("x")
    assert len(made(source)) == 1
    (line,) = [line for line in reported() if "skipped, not pictures by name" in line]
    assert "2 files" in line and ".mov (1)" in line and "prep extract" in line


def test_heic_without_its_package_is_one_line_before_the_work(put, tmp_path, monkeypatch):
    source = put("mug/a.jpg")
    (source / "mug/b.HEIC").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(UsageError, match=r"1 of 2 pictures: HEIC.*pip install pillow-heif"):
        make_images(source, tmp_path / "out", settings=SMALL)
    assert not (tmp_path / "out").exists()


# --- repeated and interrupted runs


def test_any_number_of_workers_gives_the_same_bytes(put, tmp_path, tree_bytes):
    source = put(*(f"{thing}/{k}.jpg" for thing in ("mug", "bag") for k in range(6)))
    settings = ImageSettings(SIZE_PX, burst=2, clutter=0.4, seed=3)
    for workers in (1, 3):
        make_images(source, tmp_path / str(workers), settings=settings, workers=workers)
    assert tree_bytes(tmp_path / "1") == tree_bytes(tmp_path / "3")


# Killed when the second video is reported, while its worker makes the next one.
CODE = """
import os, signal, sys
from pathlib import Path
from data_prep.making.images import ImageSettings, make_images
from groundwork.progress import Progress
advance = Progress.advance

def kill_at_two(progress):
    if progress.done == 1 and (Path(sys.argv[2]) / "manifest.json").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    advance(progress)

Progress.advance = kill_at_two
make_images(Path(sys.argv[1]), Path(sys.argv[2]), settings=ImageSettings(32), workers=1)
"""


def test_killed_halfway_and_run_again_gives_the_same_bytes(put, tmp_path, tree_bytes):
    source, out = put(*(f"mug/{number}.jpg" for number in range(8))), tmp_path / "out"
    killed = subprocess.run([sys.executable, "-c", CODE, str(source), str(out)], cwd=ROOT, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (out / "index.csv").exists()
    summary = make_images(source, out, settings=SMALL, workers=2)
    assert 1 <= summary.skipped < 8
    make_images(source, tmp_path / "uninterrupted", settings=SMALL, workers=2)
    assert tree_bytes(out) == tree_bytes(tmp_path / "uninterrupted")
    assert not list(out.rglob(".*"))


def test_a_finished_tree_is_left_alone(put, tmp_path):
    source = put("mug/a.jpg", "mug/b.jpg")
    make_images(source, tmp_path / "out", settings=SMALL, workers=1)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.jpg")}
    assert make_images(source, tmp_path / "out", settings=SMALL, workers=1).skipped == 2
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.jpg")} == before


def test_added_changed_and_removed_pictures_are_followed(put, tmp_path, tree_bytes, reported):
    source = put("mug/1.jpg", "mug/2.jpg", "mug/3.jpg", "bag/1.jpg", "bag/2.jpg")
    make_images(source, tmp_path / "out", settings=SMALL, workers=1)
    (source / "mug/1.jpg").unlink()
    put("bag/2.jpg", "bag/3.jpg")
    reported()
    make_images(source, tmp_path / "out", settings=SMALL, workers=1)
    assert [line for line in reported() if "removed 1 video without source pictures" in line]
    make_images(source, tmp_path / "new", settings=SMALL, workers=1)
    assert tree_bytes(tmp_path / "out") == tree_bytes(tmp_path / "new")


def test_nothing_is_removed_through_a_link(put, tmp_path):
    source, out = put("mug/1.jpg", "mug/2.jpg", source="ann"), tmp_path / "out"
    make_images(source, out, settings=SMALL, workers=1)
    (out / "ann/mug").rename(tmp_path / "elsewhere")
    (out / "ann/mug").symlink_to(tmp_path / "elsewhere")
    (source / "mug/2.jpg").unlink()
    with pytest.raises(UsageError, match="contains videos that"):
        make_images(source, out, settings=SMALL, workers=1)
    assert len(list((tmp_path / "elsewhere").rglob("*.jpg"))) == 2


def test_the_tree_of_another_source_is_not_overwritten(put, tmp_path):
    make_images(put("mug/1.jpg", source="ann"), tmp_path / "out", settings=SMALL, workers=1)
    with pytest.raises(UsageError, match=r"contains videos that do not come from .*ben: ann/mug"):
        make_images(put("mug/1.jpg", source="ben"), tmp_path / "out", settings=SMALL, workers=1)
    with pytest.raises(UsageError, match="holds another run"):
        make_images(tmp_path / "ann", tmp_path / "out", settings=ImageSettings(SIZE_PX, burst=2), workers=1)
    assert os.listdir(tmp_path / "out/ann/mug/clean") == ["ann--mug--clean--stills-0001"]


def test_a_folder_called_annotations_is_an_ordinary_class(put, made, tmp_path):
    places = [place for place, _, _ in made(put("annotations/a.jpg", "mug/a.jpg", source="set"))]
    assert places == ["set/annotations/clean", "set/mug/clean"]
    assert not (tmp_path / "out/annotations").exists()


# --- links that lead nowhere, and pictures that are not read


def test_a_link_that_leads_nowhere_fails_by_name_and_the_rest_is_made(put, tmp_path, reported):
    source = put("mug/a.jpg", "mug/b.jpg")
    (source / "mug/c.jpg").symlink_to(tmp_path / "not fetched.jpg")
    lines, last = failing(source, tmp_path / "out", reported)
    (line,) = [line for line in lines if "mug/c.jpg" in line]
    assert "a link that leads nowhere. Fetch the file" in line and "1 of 3 pictures can't be used" in last
    assert len(open_index(tmp_path / "out").rows) == 2


def test_pictures_in_other_formats_are_named_as_such(put, made, tmp_path, reported):
    source = put("mug/a.jpg")
    (source / "bag").mkdir()
    (source / "bag/a.TIF").write_bytes(b"x")
    made(source)
    (line,) = [line for line in reported() if "skipped, not pictures by name" in line]
    assert "; .tif can't be read: save these as PNG or JPEG." in line
    (tmp_path / "only/bag").mkdir(parents=True)
    (tmp_path / "only/bag/a.tif").write_bytes(b"x")
    with pytest.raises(UsageError, match=r"has no pictures; .*\.tif can't be read"):
        make_images(tmp_path / "only", tmp_path / "out2", settings=SMALL)
