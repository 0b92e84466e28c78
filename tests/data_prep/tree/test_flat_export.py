import pytest

from data_prep.tree.flat_export import TECHNIQUES, parse_techniques, scan_flat
from data_prep.tree.naming import name_videos, scan_raw
from groundwork.errors import DataError, UsageError


@pytest.fixture
def export(tmp_path):
    """Makes a flat folder of files of a few bytes; only their names matter here."""

    def make(*names: str):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(b"video")
        return tmp_path

    return make


def test_each_technique_has_its_video_type(export):
    root = export(*(f"P1--my keys--{letter}--x{letter}.mp4" for letter in "TZSP"), "._P1--cup--T--x.mp4", "notes.txt")
    found = {video.stem: (video.user, video.object, video.video_type) for video in scan_flat(root)}
    assert found == {  # FACTS: T clean; Z, S clutter; P clutter-pan
        "xT": ("P1", "my keys", "clean"),
        "xZ": ("P1", "my keys", "clutter"),
        "xS": ("P1", "my keys", "clutter"),
        "xP": ("P1", "my keys", "clutter-pan"),
    }


def test_the_mapping_can_be_changed_and_techniques_left_out(export):
    root = export("P1--cup--T--a.mp4", "P1--cup--P--b.mp4", "P1--cup--S--c.mp4")
    changed = {**TECHNIQUES, **parse_techniques("P=clutter,S=skip")}
    assert [(video.stem, video.video_type) for video in scan_flat(root, changed)] == [("b", "clutter"), ("a", "clean")]


def test_kept_names_are_those_of_the_published_set(export):
    root = export("P1--my keys--T--ab--c-.mp4")
    assert list(name_videos(root, scan_flat(root), keep_names=True).values()) == ["P1--my-keys--clean--ab--c-"]


def test_hashed_names_do_not_contain_the_random_part(export):
    root = export("P1--cup--T--secret.mp4")
    (name,) = name_videos(root, scan_flat(root)).values()
    assert name.startswith("P1--cup--clean--") and "secret" not in name


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("P1--cup--T.mp4", "expected files participant--label--technique--random"),
        ("cup.mp4", "expected files participant--label--technique--random"),
        ("P1--cup----a.mp4", "expected files participant--label--technique--random"),
        ("deeper/P1--cup--T--a.mp4", "expected files participant--label--technique--random"),
        ("P1--cup--Q--a.mp4", "no video type for technique Q; known: T=clean"),
    ],
)
def test_all_names_of_another_form_are_listed(export, name, message):
    with pytest.raises(DataError, match=message):
        scan_flat(export("P1--cup--T--fine.mp4", name))


@pytest.mark.parametrize("pairs", ["T", "T=", "=clean", "T=dirty", ""])
def test_a_mapping_of_another_form_is_rejected(pairs):
    with pytest.raises(UsageError, match="expected LETTER=TYPE"):
        parse_techniques(pairs)


def test_a_flat_export_given_as_a_tree_is_recognized(export):
    with pytest.raises(DataError, match="--flat"):
        scan_raw(export("P1--cup--T--a.mp4"))
