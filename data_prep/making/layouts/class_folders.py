"""Class folders, with or without splits and users above them, such as torchvision's `ImageFolder`."""

from data_prep.making.layouts.layout import LayoutRequest
from data_prep.making.picture_folders import PictureFolders, scan_pictures


def read_class_folders(request: LayoutRequest) -> PictureFolders:
    """See `scan_pictures`."""
    return scan_pictures(request.source, user=request.user, clutter_from=request.clutter_from)
