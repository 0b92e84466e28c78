"""Which videos are stills: single pictures, and not a second or more of film.

Photos are kept as videos, so that every part of the kit takes them. But neighbors in such a video are no frames a
thirtieth of a second apart: to take every 30th would throw most of them away, and smoothing over time or the time until
an object is recognized mean nothing on them. The mark stands in the video's name, which every copy of a tree keeps
(packed, resized, split by user, one user's folder alone), and every table of predictions.
"""

STILLS_ID = "stills-"  # begins the id in USER--OBJECT--TYPE--ID
FEWEST_FRAMES = 30  # of a second of film


def stills_id(number: int, split: str = "") -> str:
    """The id of an object's stills: `stills-0001` for number 1, `stills-test-0001` in a split: one user's object may be
    in several, and a video's name is its alone."""
    return f"{STILLS_ID}{f'{split}-' if split else ''}{number:04d}"


def is_stills(video: str, frames: int) -> bool:
    """Whether a video's frames are single pictures, each worth to be looked at.

    Args:
        video: its name.
        frames: how many it has; those of less than a second count as stills, whatever the name.
    """
    *place, video_id = video.split("--")
    return frames < FEWEST_FRAMES or (len(place) >= 3 and video_id.startswith(STILLS_ID))
