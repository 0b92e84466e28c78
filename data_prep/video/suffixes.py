"""The suffixes of videos and photos: the only list, used by every verb."""

RAW_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3g2", ".mkv", ".webm", ".avi", ".divx", ".ogv", ".ogm"),
    *(".ts", ".mts", ".m2ts", ".m2t", ".mpg", ".mpeg", ".m2v", ".vob", ".wmv", ".asf", ".flv", ".f4v", ".mxf", ".dv"),
)
# GIF is in the list of photos; an animated GIF is read as a video.
PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".heic", ".heif")
# Formats of pictures that no reader here tries; named so that messages can say more than "not a picture".
UNREAD_PICTURE_SUFFIXES = (
    *(".tif", ".tiff", ".jfif", ".jp2", ".avif", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".psd", ".dng", ".svg"),
)


def is_unread_picture(name: str) -> bool:
    """Whether a file is a picture in a format that is not read, by its suffix."""
    return name.lower().endswith(UNREAD_PICTURE_SUFFIXES)


def is_video_file(name: str) -> bool:
    """Whether a file is a raw video, by its suffix."""
    return name.lower().endswith(RAW_SUFFIXES)


def is_photo_file(name: str) -> bool:
    """Whether a file is a photo, by its suffix."""
    return name.lower().endswith(PHOTO_SUFFIXES)
