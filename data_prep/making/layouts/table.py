"""Every layout that `prep images` reads, by name."""

from data_prep.making.layouts.cifar import read_cifar
from data_prep.making.layouts.class_folders import read_class_folders
from data_prep.making.layouts.class_split import read_class_split
from data_prep.making.layouts.csv_list import read_csv_list
from data_prep.making.layouts.flowers import read_flowers
from data_prep.making.layouts.idx import read_idx
from data_prep.making.layouts.layout import Layout
from data_prep.making.layouts.npy import read_npy
from data_prep.making.layouts.svhn import read_svhn
from data_prep.making.layouts.text_lists import read_pets, read_sun397
from groundwork.errors import UsageError
from groundwork.words import nearest

FOLDERS = "folders"

LAYOUTS = {
    layout.name: layout
    for layout in (
        Layout(FOLDERS, "CLASS/*.jpg, or with splits and users above", read_class_folders, takes_clutter=True),
        Layout("csv", "a CSV list of path, class and split", read_csv_list, takes_list=True, needs_list=True),
        Layout(
            "class-split",
            "CLASS/*.jpg and a JSON list of each split's classes, as in Meta-Dataset",
            read_class_split,
            takes_list=True,
            needs_list=True,
        ),
        Layout("idx", "idx files of MNIST, Fashion-MNIST, KMNIST or EMNIST", read_idx),
        Layout("cifar", "the binary version of CIFAR-10 or CIFAR-100", read_cifar),
        Layout("flowers102", "jpg/, imagelabels.mat, setid.mat", read_flowers),
        Layout("npy", "CLASS.npy, as in Quick, Draw!; --list-file as for class-split", read_npy, takes_list=True),
        Layout("pets", "images/*.jpg, annotations/trainval.txt, test.txt", read_pets),
        Layout(
            "sun397",
            "LETTER/CLASS/*.jpg and Training_01.txt, Testing_01.txt, or --list-file",
            read_sun397,
            takes_list=True,
        ),
        Layout("svhn", "train_32x32.mat, test_32x32.mat", read_svhn),
    )
}


def layout_named(name: str) -> Layout:
    """A layout by its name.

    Raises:
        UsageError: if there is no such layout; names the nearest.
    """
    if name not in LAYOUTS:
        raise UsageError(f"unknown layout {name!r}{nearest(name, LAYOUTS)}; known: {', '.join(LAYOUTS)}.")
    return LAYOUTS[name]
