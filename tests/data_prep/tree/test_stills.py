import pytest

from data_prep.tree.layout import VideoName, parse_video_name
from data_prep.tree.stills import is_stills, stills_id


def test_stills_are_marked_in_the_videos_name():
    name = str(VideoName("ann", "my-keys", "clean", stills_id(7)))
    assert name == "ann--my-keys--clean--stills-0007"
    assert parse_video_name(name).id == "stills-0007"
    assert is_stills(name, 300)


@pytest.mark.parametrize("video", ["ann--cup--clean--x", "ann--stills-1--clean--x", "stills-of-a-film.mp4"])
def test_a_second_of_film_is_not_stills(video):
    assert is_stills(video, 29) and not is_stills(video, 30)
