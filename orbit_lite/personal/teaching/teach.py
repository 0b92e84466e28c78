"""A user's videos to a personal recognizer; objects added, replaced and forgotten later, without the others' videos."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from data_prep.tree.layout import TREE_TYPES
from data_prep.tree.portable import is_text
from groundwork.errors import DataError, UsageError
from groundwork.words import listed, nearest
from orbit_lite.models.recognizer import FittedRecognizer, Recognizer
from orbit_lite.personal.calibrating.calibrate import calibrate
from orbit_lite.personal.calibrating.leave_out import HeadTeaching, HeldOut, hold_out, rounds_by_likeness
from orbit_lite.personal.decision.calibration import Calibration
from orbit_lite.personal.decision.rejection import DEFAULT_STRICTNESS, Rejection
from orbit_lite.personal.recognizer import (
    PersonalRecognizer,
    SupportSet,
    label_of_each_frame,
    photos_in_a_row,
    video_of_each_frame,
)
from orbit_lite.personal.teaching.material import Lesson, lesson_images

_LOG = logging.getLogger("orbit_lite")

LEAST_OBJECTS = 2  # to tell apart, and to know what is none of them


@dataclass(frozen=True)
class Caution:
    """How readily to answer "none of these": a key of STRICTNESS, or the most false alarms among things like the
    objects, in [0, 1); then `strictness` does not count."""

    strictness: str = DEFAULT_STRICTNESS
    false_alarms: float | None = None

    def chosen(self, found: Calibration) -> Calibration:
        """The calibration at the point that this asks for.

        Raises:
            UsageError: if it has none, see `Rejection.asking` and `Rejection.at`.
        """
        if self.false_alarms is not None:
            return replace(found, rejection=found.rejection.asking(self.false_alarms))
        if self.strictness == DEFAULT_STRICTNESS:
            return found
        return replace(found, rejection=found.rejection.at(self.strictness))


BALANCED = Caution()


def teach(
    recognizer: Recognizer, lesson: Lesson, *, origin: Mapping[str, Any], caution: Caution = BALANCED
) -> PersonalRecognizer:
    """A personal recognizer of all that a lesson holds.

    Args:
        recognizer: as meta-trained, or not; the lesson was read with it.
        lesson: one user's videos.
        origin: what the file is to say of where it comes from, plain JSON.
        caution: how readily to answer "none of these".

    Raises:
        UsageError: if these videos can't promise what `caution` asks for.
        DataError: if there are fewer than two objects, or the recognizer's weights are not finite.
    """
    if len(lesson.objects) < LEAST_OBJECTS:
        raise DataError(
            f"user {lesson.user}: 1 object ({lesson.objects[0]}); a recognizer tells objects apart: film at least 2"
        )
    if recognizer.shares_features:
        support = SupportSet.of(zip(lesson.videos, lesson.tensors, strict=True))
        return teach_features(recognizer, lesson.user, support, origin=origin, caution=caution)
    images = lesson_images(lesson)
    labels, videos = label_of_each_frame(lesson.videos), video_of_each_frame(photos_in_a_row(lesson.videos))
    fitted = recognizer.personalize(images, labels, videos, way=len(lesson.objects))
    support = SupportSet(lesson.videos, fitted.embed(images).cpu())
    return _calibrated(fitted, lesson.user, support, origin, caution)


def teach_features(
    recognizer: Recognizer,
    user: str,
    support: SupportSet,
    *,
    origin: Mapping[str, Any],
    caution: Caution = BALANCED,
) -> PersonalRecognizer:
    """A personal recognizer of a support set that is embedded already, by a recognizer that does not adapt.

    Arguments and errors as for `teach`; a single object will do.
    """
    taught = support.features, support.labels, support.in_a_row.video_numbers
    fitted = recognizer.personalize_from_features(*taught, way=support.way)
    return _calibrated(fitted, user, support, origin, caution)


def add_objects(
    personal: PersonalRecognizer, lesson: Lesson, *, known: str = "refuse", caution: Caution | None = None
) -> PersonalRecognizer:
    """Teach more, from the new videos alone.

    Args:
        personal: what is known; its other objects' videos are not needed.
        lesson: the new videos, read with `personal.fitted.recognizer`.
        known: an object that is known already is an error (`refuse`; not where it was taught with all of these videos,
            for then this was done before), is taught by the new videos in place of the old
            ones (`replace`), or beside them (`extend`).
        caution: how readily to answer "none of these"; None for as it did.

    Raises:
        UsageError: if an object is known and nothing is said of that, or the learner needs all videos together.
        DataError: if a new video is one that another object was taught with.
    """
    _require_separable(personal, "to add or replace objects")
    taught = {(video.object, video.digest) for video, _ in personal.support.parts()}
    if known != "replace" and all((video.object, video.digest) in taught for video in lesson.videos):
        _LOG.info("note: all of these videos are taught already, as the same objects; nothing new to learn")
        return _again(personal, personal.support, caution) if caution else personal
    again = [name for name in lesson.objects if name in personal.objects]
    if again and known == "refuse":
        raise UsageError(
            f"{', '.join(map(repr, again))}: known already; --replace takes the new videos in place of the old ones, "
            "--extend beside them"
        )
    old = [pair for pair in personal.support.parts() if known == "extend" or pair[0].object not in again]
    known_digests = {video.digest: video.object for video, _ in old}
    new = []
    for video, features in zip(lesson.videos, lesson.tensors, strict=True):
        other = known_digests.get(video.digest, video.object)
        if other != video.object:
            raise DataError(f"objects {other!r} and {video.object!r} have the same video; film {video.object!r} again")
        if video.digest not in known_digests:  # one that it was taught with already teaches nothing more
            new.append((video, features))
    return _again(personal, SupportSet.of([*old, *new]), caution)


def forget_objects(personal: PersonalRecognizer, names: Sequence[str]) -> PersonalRecognizer:
    """The recognizer without some objects: nothing of their videos is in the result.

    Raises:
        UsageError: if one is not known, none would be left, or the learner needs all videos together.
    """
    for name in names:
        if name not in personal.objects:
            hint = nearest(name, personal.objects)
            raise UsageError(f"no object {name!r}{hint}; there are {', '.join(personal.objects)}")
    _require_separable(personal, "to forget an object")
    if set(names) >= set(personal.objects):
        raise UsageError(f"{', '.join(names)}: all the objects there are; forget the whole file instead")
    return _again(personal, personal.support.without(names))


def rename_objects(personal: PersonalRecognizer, names: Mapping[str, str]) -> PersonalRecognizer:
    """The recognizer with other names for some objects; what it was taught with stays.

    Where the objects' order by name changes, the head is fitted again to the same features in that order.

    Args:
        personal: what is known.
        names: the new name by the old one.

    Raises:
        UsageError: if one is not known, a new name is another object's or can't be a name, or the order changes and the
            learner needs all videos together.
    """
    for old, new in names.items():
        if old not in personal.objects:
            raise UsageError(f"no object {old!r}{nearest(old, personal.objects)}; there are {listed(personal.objects)}")
        if not new.strip() or new.startswith(".") or set(new) & set("/\\\0") or new in TREE_TYPES or not is_text(new):
            raise UsageError(f"{new!r}: can't be an object's name; expected one that a folder can have")
    after = [names.get(name, name) for name in personal.objects]
    if twice := sorted({name for name in after if after.count(name) > 1}):
        raise UsageError(f"{twice[0]!r}: two objects would have this name; forget one of them first, or take another")
    parts = [(replace(video, object=names.get(video.object, video.object)), f) for video, f in personal.support.parts()]
    if after == sorted(after):
        return replace(personal, support=SupportSet.of(parts))
    _require_separable(personal, "to take names in another order")
    return _again(personal, SupportSet.of(parts))


def held_out(personal: PersonalRecognizer) -> HeldOut:
    """What the recognizer's head makes of videos held out by likeness, see `leave_out`."""
    support = personal.support.in_a_row
    teaching = HeadTeaching.settled(personal.fitted.recognizer, support)
    return hold_out(teaching, rounds_by_likeness(support.videos, support.features))


def _calibrated(
    fitted: FittedRecognizer, user: str, support: SupportSet, origin: Mapping[str, Any], caution: Caution
) -> PersonalRecognizer:
    found = caution.chosen(calibrate(fitted.recognizer, support, origin=origin))
    return PersonalRecognizer(fitted, user, support, found, origin)


def _again(personal: PersonalRecognizer, support: SupportSet, caution: Caution | None = None) -> PersonalRecognizer:
    """Taught with other videos. Without `caution` what was asked for before stays asked for, even where it can't be
    promised any more: forgetting an object must not fail for that."""
    again = teach_features(
        personal.fitted.recognizer, personal.user, support, origin=personal.origin, caution=caution or BALANCED
    )
    if caution:
        return again
    was: Rejection = personal.rejection
    rejection = replace(again.rejection, strictness=was.strictness, asked=was.asked)
    return replace(again, calibration=replace(again.calibration, rejection=rejection))


def _require_separable(personal: PersonalRecognizer, what: str) -> None:
    recognizer = personal.fitted.recognizer
    name = recognizer.learner.name if recognizer.learner else "without a name"
    if not recognizer.shares_features:
        why = f"learner {name} adapts its extractor to all objects together"
    elif not recognizer.head_record.adds_objects:
        why = f"learner {name}'s head is fitted to all objects together"
    else:
        return
    raise UsageError(f"{why}: {what}, personalize again from all the videos")
