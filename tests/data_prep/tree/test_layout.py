import pytest

from data_prep.tree.layout import frame_file_name, parse_frame_file_name, parse_video_name, place_user, slug


@pytest.mark.parametrize("identity", ["abc", "-x1", "a--b", "--a--b--", "z-", "_-_-"])
def test_ids_with_dashes_survive(identity):
    """35 of ORBIT's 3,822 ids contain `--`, 56 begin with `-`."""
    name = parse_video_name(f"P177--my-keys--clutter--{identity}")
    assert (name.user, name.object_slug, name.video_type, name.id) == ("P177", "my-keys", "clutter", identity)
    assert parse_frame_file_name(frame_file_name(str(name), 7)) == (str(name), 7)


def test_frame_names_have_five_digits_and_start_at_one():
    assert frame_file_name("P1--bag--clean--x", 1) == "P1--bag--clean--x-00001.jpg"
    assert parse_frame_file_name("v-123456.jpg") == ("v", 123456)


@pytest.mark.parametrize("name", ["v-0001.jpg", "v00001.jpg", "v-00001.png", "-00001.jpg", "v-00001.jpg.part"])
def test_names_of_other_files_are_rejected(name):
    with pytest.raises(ValueError, match="not a frame name"):
        parse_frame_file_name(name)


@pytest.mark.parametrize("name", ["P1--bag--clean", "P1-bag-clean-x", "----x", ""])
def test_names_of_other_folders_are_rejected(name):
    with pytest.raises(ValueError, match="not a video name"):
        parse_video_name(name)


def test_spaces_become_dashes():
    assert slug("my front door keys") == "my-front-door-keys"


@pytest.mark.parametrize(
    "place",
    [
        "test/ann/cup/clean/ann--cup--clean--x",
        "ann/test/clean/one.mp4",
        "ann/cup/one.mp4",
        "test/ann/cup/one.mp4",
        "train/ann/cup/clean/a--b.mp4",
        "ann--cup--T--x.mp4",
    ],
)
def test_the_user_of_a_place(place):
    assert place_user(place) == "ann"
