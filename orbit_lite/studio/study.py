"""Reads a study's folder: participants, their things, and the things' videos.

    DIR/PARTICIPANT/THING/{clean,clutter}/VIDEO.mp4     as for own videos; those directly in THING are clean
    DIR/PARTICIPANT/results/PARTICIPANT.safetensors     their recognizer
    DIR/PARTICIPANT/results/{check,test,answers}/       what `check-user`, `evaluate` and `recognize` write

Nothing is cached: the folders are read again each time. Links are not followed, so nothing outside is reached.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from data_prep.tree.layout import ANNOTATIONS, MANIFEST_NAME, SPLITS, TREE_TYPES, is_junk, nfc
from data_prep.tree.object_folder import LOOSE_TYPE, holds_frames, one_user_hint
from data_prep.tree.own_videos import RESULTS_NAME
from data_prep.video import is_photo_file, is_video_file
from groundwork.errors import DataError, UsageError
from groundwork.words import natural_sort_key
from orbit_lite.personal.file_names import SUFFIX
from orbit_lite.studio.wording import wording

INCOMING_NAME = ".incoming"  # in a participant's folder: uploads that are not checked yet


class Busy(UsageError):
    """Another tab, server or command is using the folder. Nothing was changed."""


class Gone(DataError):
    """A participant, thing or video does not exist, or no longer exists."""


@dataclass(frozen=True)
class Video:
    """A video or photo of a thing. video_type: one of TREE_TYPES; clean ones teach. stored: whether it is a folder of
    frames."""

    name: str
    video_type: str
    path: Path
    stored: bool = False

    @property
    def teaches(self) -> bool:
        """Whether its folder makes it a teaching video."""
        return self.video_type == LOOSE_TYPE

    @property
    def is_photo(self) -> bool:
        """Whether it is a single picture."""
        return not self.stored and is_photo_file(self.name)


@dataclass(frozen=True)
class Thing:
    """A participant's thing: its folder, and its videos sorted by type and name."""

    name: str
    path: Path
    videos: tuple[Video, ...]

    @property
    def teaching(self) -> tuple[Video, ...]:
        """The videos that teach it, or its photos if there are no videos."""
        clean = [video for video in self.videos if video.teaches]
        films = [video for video in clean if not video.is_photo]
        return tuple(films or clean)

    @property
    def unused_photos(self) -> tuple[Video, ...]:
        """Photos that do not teach, because there are videos."""
        return tuple(video for video in self.videos if video.teaches and video not in self.teaching)

    @property
    def tests(self) -> tuple[Video, ...]:
        """The videos among other things, which the recognizer is tested on."""
        return tuple(video for video in self.videos if not video.teaches)

    def video(self, video_type: str, name: str) -> Video:
        """Find a video by its type and name.

        Raises:
            Gone: if it does not exist.
        """
        for video in self.videos:
            if (video.video_type, nfc(video.name)) == (video_type, nfc(name)):
                return video
        raise Gone(wording()("gone.video", name=name, thing=self.name))


@dataclass(frozen=True)
class Participant:
    """A participant's folder. `links`: names of links in it, which are not followed."""

    name: str
    path: Path
    things: tuple[Thing, ...]
    links: tuple[str, ...] = ()

    @property
    def results(self) -> Path:
        """The folder for everything made from their videos."""
        return self.path / RESULTS_NAME

    @property
    def file(self) -> Path:
        """The path of their recognizer, which may not exist."""
        return self.results / f"{self.path.name}{SUFFIX}"

    @property
    def check_folder(self) -> Path:
        """The folder that `check-user` writes."""
        return self.results / "check"

    @property
    def test_folder(self) -> Path:
        """The run of `evaluate` on their clutter videos."""
        return self.results / "test"

    @property
    def answers_folder(self) -> Path:
        """The folder for what `recognize` writes about each video or photo that was tried."""
        return self.results / "answers"

    @property
    def incoming(self) -> Path:
        """Where uploads wait until they are checked; hidden, so that they are not taken for videos of a thing."""
        return self.path / INCOMING_NAME

    def link_to(self, *places: Path) -> str:
        """The first link on the path from the participant's folder to one of these paths in it; "" if there is none."""
        for place in places:
            for path in (place, *place.parents):
                if path == self.path:
                    break
                if path.is_symlink():
                    return path.relative_to(self.path).as_posix()
        return ""

    def require_own(self, *places: Path) -> None:
        """Check that no link leads out of the participant's folder on the way to these paths, which may not exist.

        Raises:
            DataError: if there is such a link.
        """
        if name := self.link_to(*places):
            raise DataError(wording()("fault.link", name=f"{self.name}/{name}"))

    def require_nothing_arrives(self) -> None:
        """Check that no upload for this participant is in progress. Raises Busy if one is."""
        if self.incoming.exists():
            raise Busy(wording()("participant.arriving", name=self.name))

    def thing(self, name: str) -> Thing:
        """Find a thing by its name. Raises Gone if it does not exist."""
        for thing in self.things:
            if nfc(thing.name) == nfc(name):
                return thing
        raise Gone(wording()("gone.thing", name=name, participant=self.name))


@dataclass(frozen=True)
class Study:
    """A study's folder."""

    root: Path

    @classmethod
    def open(cls, root: Path) -> "Study":
        """Open a folder, which is created if missing.

        Raises:
            UsageError: if it is a file, a frame tree or one participant's own folder.
        """
        if root.exists() and not root.is_dir():
            raise UsageError(f"{root}: is a file; 'studio' takes a study's folder, which has a folder per participant")
        if root.is_symlink() and not root.exists():
            raise UsageError(f"{root}: is a link that leads nowhere; give a folder for a study, or remove the link")
        root.mkdir(parents=True, exist_ok=True)
        names = {entry.name for entry in os.scandir(root)}
        if names & {*SPLITS, ANNOTATIONS, MANIFEST_NAME}:
            raise UsageError(
                f"{root}: is a tree of frames or videos for evaluation; 'studio' takes a study's folder, which has a "
                "folder per participant. Give another folder, or a new one"
            )
        if hint := one_user_hint(root):
            raise UsageError(f"{root}: has videos of things where participants' folders are expected.{hint}")
        return cls(root.resolve())

    def require_there(self) -> None:
        """Raises Gone if the study's folder no longer exists."""
        if not self.root.is_dir():
            raise Gone(wording()("fault.no_study", folder=self.root))

    def participants(self) -> list[Participant]:
        """All participants, in natural order. Raises Gone if the study's folder no longer exists."""
        self.require_there()
        found = [self._read(name) for name, link in _folders(self.root) if not link]
        return sorted(found, key=lambda one: (natural_sort_key(one.name), one.name))

    def participant(self, name: str) -> Participant:
        """One by the name. Raises Gone if there is none."""
        self.require_there()
        for entry, link in _folders(self.root):
            if nfc(entry) == nfc(name) and not link:
                return self._read(entry)
        raise Gone(wording()("gone.participant", name=name))

    def _read(self, name: str) -> Participant:
        path = self.root / name
        entries = _folders(path)
        things = [_thing(path / entry) for entry, link in entries if not link and not _is_results(path / entry)]
        things.sort(key=lambda thing: (natural_sort_key(thing.name), thing.name))
        return Participant(nfc(name), path, tuple(things), tuple(entry for entry, link in entries if link))


def _is_results(path: Path) -> bool:
    return path.name == RESULTS_NAME and not any(_videos(path))


def _thing(path: Path) -> Thing:
    videos = sorted(_videos(path), key=lambda video: (video.video_type, natural_sort_key(video.name), video.name))
    return Thing(nfc(path.name), path, tuple(videos))


def _videos(thing: Path) -> list[Video]:
    found = _videos_in(thing, LOOSE_TYPE)
    for name, link in _folders(thing):
        if nfc(name) in TREE_TYPES and not link:
            found += _videos_in(thing / name, nfc(name))
    return found


def _videos_in(folder: Path, video_type: str) -> list[Video]:
    found = []
    for entry in _entries(folder):
        path = folder / entry.name
        if entry.is_file(follow_symlinks=False) and (is_video_file(entry.name) or is_photo_file(entry.name)):
            found.append(Video(entry.name, video_type, path))
        elif entry.is_dir(follow_symlinks=False) and holds_frames(path):
            found.append(Video(entry.name, video_type, path, stored=True))
    return found


def _folders(path: Path) -> list[tuple[str, bool]]:
    """Names of the folders in a folder, and whether each is a link to a folder."""
    return [(entry.name, entry.is_symlink()) for entry in _entries(path) if entry.is_dir()]


def _entries(path: Path) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(path) as entries:
            return [entry for entry in entries if not is_junk(entry.name)]
    except FileNotFoundError:  # removed by hand meanwhile
        return []
