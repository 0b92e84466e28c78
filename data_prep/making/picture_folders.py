"""Reads folders of pictures as users, objects and splits.

    SRC/[SPLIT/]OBJECT/*.jpg            one user: --user, or the name of SRC
    SRC/[SPLIT/]USER/OBJECT/*.jpg       several users, if no folder of the first level has pictures directly in it

A folder with pictures is a class, that is, an object. Its name is the path to the folder, with spaces for slashes, so
folders may be nested to any depth: `USER/bird/house sparrow` is the object `bird house sparrow`; with --user it is
`USER bird house sparrow`. The first level is splits if it has only train, validation (or val) and test. A last folder
`clean` or `clutter` is not part of the name but gives the video type; the default is clean.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from data_prep.making.collectors import RESERVED
from data_prep.making.raw_pixels import RawPixels
from data_prep.tree.layout import SPLIT_NAMES, SPLITS, TREE_TYPES, is_junk, nfc, user_name
from data_prep.tree.object_folder import LOOSE_TYPE, is_frame_of, leads_nowhere
from data_prep.tree.portable import require_text_names
from data_prep.video import is_photo_file, is_unread_picture, is_video_file
from groundwork.errors import DataError, KitError, UsageError
from groundwork.words import counted, listed, natural_sort_key

_CLUTTER = TREE_TYPES[1]
EXPECTED = "OBJECT/*.jpg for one user, or USER/OBJECT/*.jpg"


@dataclass(frozen=True)
class PictureFile:
    """One picture, with the user and the object that it shows. `relative` (to SRC, with `/`) and the names are NFC;
    `path` is spelled as on disk. `pixels`: its position in the file, if the file holds many uncompressed pictures."""

    split: str
    user: str
    object: str
    video_type: str
    relative: str
    path: Path
    pixels: RawPixels | None = None

    @property
    def thing(self) -> tuple[str, str]:
        """The user and the object that it shows."""
        return self.user, self.object


@dataclass(frozen=True)
class PictureFolders:
    """All pictures below SRC, ordered by split, user, object, type and the natural order of their file names (2 before
    10). `notes`: remarks for the user on how SRC was read, a line each."""

    pictures: tuple[PictureFile, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Placed:
    """A picture and the folders that contain it, below the split and without the type."""

    split: str
    folders: tuple[str, ...]
    video_type: str
    relative: str
    path: Path


def scan_pictures(source: Path, *, user: str = "", clutter_from: str = "") -> PictureFolders:
    """Find the pictures below a folder; opens none.

    Args:
        source: SRC.
        user: the user whose pictures they are; "" to read users from the folders.
        clutter_from: a split whose pictures become clutter, all others clean, in a tree without splits; "" for none.

    Raises:
        UsageError: SRC has no pictures, or is a frame tree; it has no such split; or a user's name is not allowed.
        DataError: pictures are in no class's folder, or two folders would become the same class.
    """
    files = [(tuple(nfc(part) for part in path.relative_to(source).parts), path) for path in _files(source, ())]
    pictures = [(parts, path) for parts, path in files if is_photo_file(parts[-1])]
    others = [parts[-1] for parts, _ in files if not is_photo_file(parts[-1])]
    require_text_names(source, ["/".join(parts) for parts, _ in pictures])
    if not pictures:
        raise UsageError(
            f"{source}: has no pictures; expected {EXPECTED} (or .png, .webp, .heic, ...){_other_hint(others)}."
        )
    _refuse_frames(source, [parts for parts, _ in pictures])
    has_splits = all(len(parts) > 1 and parts[0] in SPLIT_NAMES for parts, _ in pictures)
    placed = [_place(parts, path, has_splits) for parts, path in pictures]
    _refuse_misplaced(source, placed)
    if clutter_from:
        placed = _with_clutter(source, placed, clutter_from)
    nested = _first_level_is_users(placed) and not user
    alone = "" if nested else user_alone(source, user)
    found = [_named(picture, alone) for picture in placed]
    for name in {picture.user for picture in found}:
        _require_user(source, name, DataError)
    _refuse_two_in_one(source, placed, found)
    notes = [*_mixed_note(source, placed, alone, user), *_others_note(source, others)]
    return PictureFolders(tuple(sorted(found, key=picture_order)), tuple(notes))


def _files(folder: Path, above: tuple[tuple[int, int], ...]) -> Iterator[Path]:
    """Every visible file below a folder, in any order. Links are followed, but not in a circle; those that lead nowhere
    count as files, so that nothing is lost silently."""
    status = os.stat(folder)
    here = (status.st_dev, status.st_ino)
    if here in above:
        return
    with os.scandir(folder) as entries:
        visible = [entry for entry in entries if not is_junk(entry.name)]
    for entry in visible:
        if entry.is_dir():
            yield from _files(Path(entry.path), (*above, here))
        elif entry.is_file() or leads_nowhere(entry):
            yield Path(entry.path)


def _place(parts: tuple[str, ...], path: Path, has_splits: bool) -> _Placed:
    split = SPLIT_NAMES[parts[0]] if has_splits else ""
    folders = parts[1 if has_splits else 0 : -1]
    video_type = folders[-1] if folders and folders[-1] in TREE_TYPES else ""
    folders = folders[:-1] if video_type else folders
    return _Placed(split, folders, video_type or LOOSE_TYPE, "/".join(parts), path)


def _with_clutter(source: Path, placed: Sequence[_Placed], clutter_from: str) -> list[_Placed]:
    splits = sorted({picture.split for picture in placed} - {""})
    wanted = SPLIT_NAMES.get(clutter_from, clutter_from)
    if wanted not in splits:
        raise UsageError(
            f"{source}: no split {clutter_from!r} to take clutter from; it has {listed(splits) or 'none'}."
        )
    return [_Placed("", p.folders, _CLUTTER if p.split == wanted else p.video_type, p.relative, p.path) for p in placed]


def _first_level_is_users(placed: Sequence[_Placed]) -> bool:
    return all(len(picture.folders) > 1 for picture in placed)


def user_alone(source: Path, user: str) -> str:
    """The only user of a folder's pictures: the given name, or the folder's name.

    Raises:
        UsageError: if it can't be a user's name.
    """
    if user:
        return _require_user(source, user, UsageError)
    name = nfc(source.resolve().name)
    try:
        return _require_user(source, name, UsageError)
    except UsageError:
        raise UsageError(f"{source}: {name!r} can't be a user's name; give the user's name with --user.") from None


def _require_user(source: Path, user: str, error: type[KitError]) -> str:
    name = user_name(user)
    if name in RESERVED or name in TREE_TYPES:
        raise error(f"{source}: {name!r} has another meaning in a tree and can't be a user's name; choose another.")
    return name


def _named(placed: _Placed, alone: str) -> PictureFile:
    user, folders = (alone, placed.folders) if alone else (placed.folders[0], placed.folders[1:])
    return PictureFile(placed.split, user, " ".join(folders), placed.video_type, placed.relative, placed.path)


def _refuse_frames(source: Path, places: Sequence[tuple[str, ...]]) -> None:
    for parts in places:
        if len(parts) > 2 and parts[-3] in TREE_TYPES and is_frame_of(parts[-2], parts[-1]):
            raise UsageError(
                f"{source}: is already a frame tree ({'/'.join(parts)}); 'orbit-lite prep resize' changes the size of"
                " its frames."
            )


def _refuse_misplaced(source: Path, placed: Sequence[_Placed]) -> None:
    loose = sorted(picture.relative for picture in placed if not picture.folders)
    if not loose:
        return
    hint = "" if len(loose) < len(placed) else f" If {source.resolve().name} is an object, give its parent folder."
    raise DataError(
        f"{source}: {counted(len(loose), 'picture')} not in an object's folder: {listed(loose)};"
        f" expected {EXPECTED}.{hint}"
    )


def _refuse_two_in_one(source: Path, placed: Sequence[_Placed], found: Sequence[PictureFile]) -> None:
    """Reject two folders whose names become the same when `/` becomes a space or accents are normalized."""
    twice = [relative for relative, count in Counter(picture.relative for picture in found).items() if count > 1]
    if twice:
        raise DataError(f"{source}: the same name in two Unicode forms (NFC and NFD): {listed(twice)}. Rename one.")
    folders: dict[tuple[str, str], set[str]] = defaultdict(set)
    for location, picture in zip(placed, found, strict=True):
        folders[picture.thing].add("/".join(location.folders))
    for (_, thing), places in folders.items():
        if len(places) > 1:
            first, second = sorted(places)[:2]
            raise DataError(f"{source}: {first} and {second} would both be the object {thing!r}. Rename one of them.")
        if thing in TREE_TYPES:
            raise DataError(f"{source}: {places.pop()}: {thing!r} is a video type, not an object. Rename the folder.")


def _mixed_note(source: Path, placed: Sequence[_Placed], alone: str, user: str) -> Iterator[str]:
    """If depths differ, the first level may be users with a stray picture, or objects with kinds of objects."""
    depths = {len(picture.folders) for picture in placed}
    if alone and not user and len(depths) > 1:
        shallow = sorted("/".join(picture.folders) for picture in placed if len(picture.folders) == 1)[0]
        yield (
            f"{source}: some pictures are directly in {shallow}, others deeper, so the first level is taken as objects"
            f" of one user, {alone}. If it is users, move the pictures out of {shallow}; if not, confirm with --user"
            f" {alone}."
        )


def _others_note(source: Path, names: Sequence[str]) -> Iterator[str]:
    if not names:
        return
    suffixes = Counter(Path(name).suffix.lower() or "no suffix" for name in names)
    kinds = [f"{suffix} ({count})" for suffix, count in suffixes.most_common()]
    yield f"{source}: {counted(len(names), 'file')} skipped, not pictures by name: {listed(kinds)}{_other_hint(names)}."


def _other_hint(names: Sequence[str]) -> str:
    unread = sorted({Path(name).suffix.lower() for name in names if is_unread_picture(name)})
    hint = f"; {listed(unread)} can't be read: save these as PNG or JPEG" if unread else ""
    return hint + ("; 'orbit-lite prep extract' reads videos" if any(map(is_video_file, names)) else "")


def picture_order(picture: PictureFile) -> tuple[object, ...]:
    """A sort key for pictures: split, user, object, type, and the natural order of their file names."""
    split = SPLITS.index(picture.split) if picture.split else -1
    place = (split, picture.user, picture.object, TREE_TYPES.index(picture.video_type))
    return (*place, natural_sort_key(PurePosixPath(picture.relative).stem), picture.relative)
