"""Which videos are stills, that is, separate pictures and not a second or more of film.

Photos are stored as videos, so that every part of the kit can read them. But consecutive pictures of such a video are
not a thirtieth of a second apart: taking every 30th would discard most of them, and smoothing over time or the time
until an object is recognized would be meaningless. Stills are marked in the video's name, which is kept in every copy
of a tree (packed, resized, split by user, one user's folder) and in every table of predictions.
"""

STILLS_ID = "stills-"  # the beginning of the id in USER--OBJECT--TYPE--ID
FEWEST_FRAMES = 30  # one second of film


def stills_id(number: int, split: str = "") -> str:
    """The id of an object's stills: `stills-0001` for number 1, or `stills-test-0001` in a split, because an object may
    be in several splits, and the name of a video must be unique."""
    return f"{STILLS_ID}{f'{split}-' if split else ''}{number:04d}"


def is_stills(video: str, frames: int) -> bool:
    """Whether a video's frames are separate pictures, all of which should be used.

    Args:
        video: its name.
        frames: its number of frames; less than a second counts as stills, whatever the name.
    """
    *place, video_id = video.split("--")
    return frames < FEWEST_FRAMES or (len(place) >= 3 and video_id.startswith(STILLS_ID))
