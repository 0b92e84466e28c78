import json
import stat
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.tree.layout import parse_video_name
from data_prep.tree.naming import name_videos, scan_raw, table_path
from groundwork.errors import DataError


@pytest.fixture
def raw(tmp_path):
    """Makes a raw tree of files of a few bytes; only their names matter here."""

    def make(*places: str, content: bytes = b"video"):
        root = tmp_path / "raw"
        for place in places:
            (root / place).parent.mkdir(parents=True, exist_ok=True)
            (root / place).write_bytes(content)
        return root

    return make


def names_of(root, **how):
    return name_videos(root, scan_raw(root), **how)


# --- the videos of a raw tree


def test_videos_are_found_sorted_with_their_places(raw):
    root = raw("bob/my keys/clutter/b.MOV", "ann/cup/clean/a.mp4", "ann/cup/clean/notes.txt")
    found = [(v.split, v.user, v.object, v.video_type, v.relative, v.size_bytes) for v in scan_raw(root)]
    assert found == [
        ("", "ann", "cup", "clean", "ann/cup/clean/a.mp4", 5),
        ("", "bob", "my keys", "clutter", "bob/my keys/clutter/b.MOV", 5),
    ]


def test_a_split_level_is_recognized(raw):
    root = raw("train/ann/cup/clean/a.mp4", "test/bob/cup/clean/b.mp4", "annotations/test/c.json")
    assert [(v.split, v.user) for v in scan_raw(root)] == [("test", "bob"), ("train", "ann")]


@pytest.mark.parametrize("junk", ["._a.mp4", ".DS_Store", ".hidden/b.mp4", "thumbs.db"])
def test_junk_is_skipped(raw, junk):
    root = raw("ann/cup/clean/a.mp4", f"ann/cup/clean/{junk}")
    assert len(scan_raw(root)) == 1


def test_an_empty_placeholder_is_skipped(raw):
    raw("ann/cup/clean/cloud.mp4", content=b"")
    assert len(scan_raw(raw("ann/cup/clean/a.mp4"))) == 1


@pytest.mark.parametrize(
    "place",
    ["a.mp4", "ann/a.mp4", "ann/clean/a.mp4", "ann/cup/clean/in/a.mp4", "ann/cup/Clean/a.mp4", "ann/cup/messy/a.mp4"],
)
def test_a_video_in_the_wrong_place_is_named_not_skipped(raw, place):
    with pytest.raises(DataError) as caught:
        scan_raw(raw("ann/cup/clean/good.mp4", place))
    assert place in str(caught.value) and "good" not in str(caught.value)


def test_a_user_next_to_the_splits_is_named(raw):
    with pytest.raises(DataError, match="ann/cup/clean/a"):
        scan_raw(raw("train/bob/cup/clean/b.mp4", "ann/cup/clean/a.mp4"))


def test_videos_directly_in_an_objects_folder_are_clean(raw):
    root = raw("ann/cup/a.mp4", "ann/cup/clean/b.mp4", "ann/cup/clutter/c.mp4")
    assert [(v.relative, v.video_type) for v in scan_raw(root)] == [
        ("ann/cup/a.mp4", "clean"),
        ("ann/cup/clean/b.mp4", "clean"),
        ("ann/cup/clutter/c.mp4", "clutter"),
    ]
    loose = raw("test/bob/cup/d.mp4")
    with pytest.raises(DataError, match="ann/cup/a"):  # next to a split
        scan_raw(loose)


def test_photos_count_if_an_object_has_no_videos_of_the_type(raw, reported):
    root = raw("ann/cup/a.mp4", "ann/cup/clean/a.jpg", "ann/cup/clutter/b.HEIC", "ann/mug/c.png", "ann/me.jpg")
    places = ["ann/cup/a.mp4", "ann/cup/clutter/b.HEIC", "ann/mug/c.png"]
    assert [video.relative for video in scan_raw(root)] == places
    assert [line for line in reported() if "1 photo skipped" in line and "ann/cup/clean/a.jpg" in line]


def test_photos_at_another_depth_are_named_if_there_are_no_videos(raw):
    with pytest.raises(DataError, match=r"found birds/2024/may/a\.jpg.*prep images"):
        scan_raw(raw("birds/2024/may/a.jpg", "birds/2024/b.jpg"))


def test_names_are_nfc_whatever_the_form_on_disk(raw):
    composed, decomposed = "Café/clé/clean/é.mp4", unicodedata.normalize("NFD", "Café/clé/clean/é.mp4")
    (video,) = scan_raw(raw(decomposed))
    assert video.relative == composed and (video.user, video.object, video.stem) == ("Café", "clé", "é")
    assert video.path.is_file()


def test_one_name_in_two_unicode_forms_is_rejected(raw):
    root = raw(*(unicodedata.normalize(form, "ann/cup/clean/é.mp4") for form in ("NFC", "NFD")))
    with pytest.raises(DataError, match="NFC and NFD"):
        scan_raw(root)


# --- hashed names


def test_a_hashed_name_contains_the_place_and_nothing_of_the_file_name(raw):
    root = raw("ann/my keys/clean/IMG 2024 at home.mp4")
    name = parse_video_name(names_of(root)["ann/my keys/clean/IMG 2024 at home.mp4"])
    assert (name.user, name.object_slug, name.video_type, len(name.id)) == ("ann", "my-keys", "clean", 12)
    assert "IMG" not in name.id and "2024" not in name.id


def test_names_are_the_same_at_every_call_and_new_files_do_not_change_them(raw):
    root = raw("ann/cup/clean/a.mp4", "ann/cup/clean/b.mp4")
    first = names_of(root)
    assert names_of(root) == first
    raw("ann/cup/clean/0.mp4")
    assert {place: names_of(root)[place] for place in first} == first


def test_another_key_gives_other_names(raw):
    root = raw("ann/cup/clean/a.mp4")
    first = names_of(root)
    table_path(root).unlink()
    assert names_of(root) != first


def test_key_and_table_are_next_to_the_tree_and_private(raw):
    root = raw("ann/cup/clean/a.mp4")
    names = names_of(root)
    table = root.parent / ".raw.video-names.json"
    assert stat.S_IMODE(table.stat().st_mode) == 0o600
    assert json.loads(table.read_text())["names"] == names
    assert [path.name for path in root.rglob("*") if path.is_file()] == ["a.mp4"]


def test_a_damaged_table_is_rejected_and_kept(raw):
    root = raw("ann/cup/clean/a.mp4")
    table_path(root).write_text('{"schema": 1, "key": 5}')
    with pytest.raises(DataError, match="not a table of video names"):
        names_of(root)
    assert table_path(root).read_text() == '{"schema": 1, "key": 5}'


# --- names that are kept


def test_a_video_name_for_its_own_place_is_kept_and_needs_no_table(raw):
    root = raw("ann/my keys/clean/ann--my-keys--clean--x--y_1.mp4", "ann/cup/clean/ann--cup--clean---z.mov")
    assert set(names_of(root).values()) == {"ann--my-keys--clean--x--y_1", "ann--cup--clean---z"}
    assert not table_path(root).exists()


@pytest.mark.parametrize(
    "stem", ["bob--cup--clean--x", "ann--mug--clean--x", "ann--cup--clutter--x", "ann--cup--clean--"]
)
def test_a_video_name_for_another_place_is_not_kept(raw, stem):
    (name,) = names_of(raw(f"ann/cup/clean/{stem}.mp4")).values()
    assert name != stem and name.startswith("ann--cup--clean--")


def test_two_files_with_one_video_name_are_rejected(raw):
    root = raw("ann/cup/clean/ann--cup--clean--x.mp4", "ann/cup/clean/ann--cup--clean--x.mov")
    with pytest.raises(DataError, match=r"x\.mov and .*x\.mp4 would both be the video ann--cup--clean--x"):
        names_of(root)


def test_kept_names_keep_the_stem(raw):
    root = raw("ann/my keys/clean/IMG 1.mp4", "ann/my keys/clean/ann--my-keys--clean--x.mp4")
    assert set(names_of(root, keep_names=True).values()) == {"ann--my-keys--clean--IMG 1", "ann--my-keys--clean--x"}


def test_files_that_differ_in_suffix_get_it_in_their_ids_with_a_note(raw, reported):
    root = raw("ann/cup/clean/IMG_1.MOV", "ann/cup/clean/IMG_1.mp4", "ann/cup/clean/IMG_2.mp4")
    assert names_of(root, keep_names=True) == {
        "ann/cup/clean/IMG_1.MOV": "ann--cup--clean--IMG_1-mov",
        "ann/cup/clean/IMG_1.mp4": "ann--cup--clean--IMG_1-mp4",
        "ann/cup/clean/IMG_2.mp4": "ann--cup--clean--IMG_2",
    }
    assert any("IMG_1.MOV" in line for line in reported())


def test_kept_names_that_still_clash_are_rejected(raw):
    root = raw("ann/cup/clean/IMG_1.MOV", "ann/cup/clean/IMG_1.mp4", "ann/cup/clean/IMG_1-mov.avi")
    with pytest.raises(DataError, match="would both be"):
        names_of(root, keep_names=True)


def test_reading_the_tree_directly_follows_the_last_choice(raw):
    root = raw("ann/cup/clean/a.mp4")
    hashed = names_of(root)
    kept = names_of(root, keep_names=True)
    assert names_of(root) == kept != hashed
    assert names_of(root, keep_names=False) == hashed


def test_a_name_too_long_for_a_file_system_is_rejected(raw):
    root = raw(f"{'a' * 100}/{'b' * 100}/clean/{'c' * 60}.mp4")
    with pytest.raises(DataError, match=r"c{60}\.mp4: its video's name would have more than 240 bytes. .* file's name"):
        names_of(root, keep_names=True)
    root = raw(f"ann/{'o' * 230}/clean/v.mp4")
    with pytest.raises(
        DataError, match=r"the name of the object o+\.\.\. is too long: .* 240 bytes\. .* folder's name"
    ):
        names_of(root)


@given(st.lists(st.text("ab-. é", min_size=1, max_size=6).filter(lambda t: t[0] not in ". -"), unique=True, max_size=6))
def test_every_file_gets_a_unique_name(tmp_path_factory, stems):
    root = tmp_path_factory.mktemp("any") / "raw"
    (root / "ann/cup/clean").mkdir(parents=True)
    for stem in stems:
        (root / f"ann/cup/clean/{stem}.mp4").write_bytes(b"video")
    videos = scan_raw(root)
    assert len(videos) == len(stems)
    for keep in (True, False):
        names = name_videos(root, videos, keep_names=keep)
        assert len(set(names.values())) == len(stems)
        assert all(name.startswith("ann--cup--clean--") for name in names.values())
