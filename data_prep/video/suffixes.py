"""Which files are videos and which are photos, by their names alone."""

RAW_SUFFIXES = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".3gp")
PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".heic", ".heif")


def is_video_file(name: str) -> bool:
    """Whether a file is a raw video, by its suffix."""
    return name.lower().endswith(RAW_SUFFIXES)


def is_photo_file(name: str) -> bool:
    """Whether a file is a photo, by its suffix."""
    return name.lower().endswith(PHOTO_SUFFIXES)
