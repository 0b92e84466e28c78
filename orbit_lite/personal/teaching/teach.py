"""Teaches a personal recognizer from a user's videos, and later adds, replaces, renames or forgets objects without
needing the others' videos."""

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
    group_photos,
    label_of_each_frame,
    video_of_each_frame,
)
from orbit_lite.personal.teaching.material import UserVideos, all_images

_LOG = logging.getLogger("orbit_lite")

LEAST_OBJECTS = 2  # fewer can't be told apart


@dataclass(frozen=True)
class Caution:
    """How readily to answer "none of these".

    strictness: a key of STRICTNESS. false_alarms: if given, the largest share of similar things' frames that may get an
    object's name, in [0, 1); `strictness` is then ignored.
    """

    strictness: str = DEFAULT_STRICTNESS
    false_alarms: float | None = None

    def chosen(self, found: Calibration) -> Calibration:
        """The calibration with the operating point that this asks for.

        Raises:
            UsageError: if there is no such point, see `Rejection.asking` and `Rejection.at`.
        """
        if self.false_alarms is not None:
            return replace(found, rejection=found.rejection.asking(self.false_alarms))
        if self.strictness == DEFAULT_STRICTNESS:
            return found
        return replace(found, rejection=found.rejection.at(self.strictness))


BALANCED = Caution()


def teach(
    recognizer: Recognizer, user_videos: UserVideos, *, origin: Mapping[str, Any], caution: Caution = BALANCED
) -> PersonalRecognizer:
    """Teach a personal recognizer all objects of a user's videos.

    Args:
        recognizer: the starting model, meta-trained or not; the videos were read with it.
        user_videos: one user's videos.
        origin: its origin, as stored in the file, plain JSON.
        caution: how readily to answer "none of these".

    Raises:
        UsageError: if these videos can't promise what `caution` asks for.
        DataError: if there are fewer than two objects, or the recognizer's weights are not finite.
    """
    if len(user_videos.objects) < LEAST_OBJECTS:
        raise DataError(
            f"user {user_videos.user}: has only 1 object ({user_videos.objects[0]}); a recognizer tells objects apart, "
            "so film at least 2"
        )
    if recognizer.shares_features:
        support = SupportSet.of(zip(user_videos.videos, user_videos.tensors, strict=True))
        return teach_features(recognizer, user_videos.user, support, origin=origin, caution=caution)
    images = all_images(user_videos)
    labels, videos = label_of_each_frame(user_videos.videos), video_of_each_frame(group_photos(user_videos.videos))
    fitted = recognizer.personalize(images, labels, videos, way=len(user_videos.objects))
    support = SupportSet(user_videos.videos, fitted.embed(images).cpu())
    return _calibrated(fitted, user_videos.user, support, origin, caution)


def teach_features(
    recognizer: Recognizer,
    user: str,
    support: SupportSet,
    *,
    origin: Mapping[str, Any],
    caution: Caution = BALANCED,
) -> PersonalRecognizer:
    """Teach a personal recognizer from an embedded support set, for a recognizer that does not adapt its extractor.

    Arguments and errors are as for `teach`; a single object is enough.
    """
    taught = support.features, support.labels, support.with_grouped_photos.video_numbers
    fitted = recognizer.personalize_from_features(*taught, way=support.way)
    return _calibrated(fitted, user, support, origin, caution)


def add_objects(
    personal: PersonalRecognizer, user_videos: UserVideos, *, known: str = "refuse", caution: Caution | None = None
) -> PersonalRecognizer:
    """Teach more objects or videos, with only the new videos.

    Args:
        personal: the recognizer so far; its videos are not needed.
        user_videos: the new videos, read with `personal.fitted.recognizer`.
        known: for an object that is already known, `refuse` raises (unless it was already taught with all of these
            videos), `replace` uses the new videos instead of the old ones, and `extend` uses both.
        caution: how readily to answer "none of these"; None keeps the setting.

    Raises:
        UsageError: if an object is known and `known` is `refuse`, or the learner needs all videos together.
        DataError: if a new video already taught another object.
    """
    _require_separable(personal, "to add or replace objects")
    taught = {(video.object, video.digest) for video, _ in personal.support.parts()}
    if known != "replace" and all((video.object, video.digest) in taught for video in user_videos.videos):
        _LOG.info("note: all of these videos were already taught, with the same objects; there is nothing new to learn")
        return _again(personal, personal.support, caution) if caution else personal
    again = [name for name in user_videos.objects if name in personal.objects]
    if again and known == "refuse":
        raise UsageError(
            f"{', '.join(map(repr, again))}: already known; use --replace to teach with the new videos instead of the "
            "old ones, or --extend to teach with both"
        )
    old = [pair for pair in personal.support.parts() if known == "extend" or pair[0].object not in again]
    known_digests = {video.digest: video.object for video, _ in old}
    new = []
    for video, features in zip(user_videos.videos, user_videos.tensors, strict=True):
        other = known_digests.get(video.digest, video.object)
        if other != video.object:
            raise DataError(f"objects {other!r} and {video.object!r} have the same video; film {video.object!r} again")
        if video.digest not in known_digests:  # a video that already taught it adds nothing
            new.append((video, features))
    return _again(personal, SupportSet.of([*old, *new]), caution)


def forget_objects(personal: PersonalRecognizer, names: Sequence[str]) -> PersonalRecognizer:
    """The recognizer without some objects; nothing derived from their videos remains in the result.

    Raises:
        UsageError: if an object is unknown, none would be left, or the learner needs all videos together.
    """
    for name in names:
        if name not in personal.objects:
            hint = nearest(name, personal.objects)
            raise UsageError(f"no object {name!r}{hint}; the recognizer knows {', '.join(personal.objects)}")
    _require_separable(personal, "to forget an object")
    if set(names) >= set(personal.objects):
        raise UsageError(f"{', '.join(names)}: these are all the objects; forget the whole file instead")
    return _again(personal, personal.support.without(names))


def rename_objects(personal: PersonalRecognizer, names: Mapping[str, str]) -> PersonalRecognizer:
    """The recognizer with new names for some objects; its support features are unchanged.

    If the order of the objects by name changes, the head is fitted again to the same features in the new order.

    Args:
        personal: the recognizer.
        names: old name to new name.

    Raises:
        UsageError: if an object is unknown, a new name is already used or is invalid, or the order changes and the
            learner needs all videos together.
    """
    for old, new in names.items():
        if old not in personal.objects:
            raise UsageError(
                f"no object {old!r}{nearest(old, personal.objects)}; the recognizer knows {listed(personal.objects)}"
            )
        if not new.strip() or new.startswith(".") or set(new) & set("/\\\0") or new in TREE_TYPES or not is_text(new):
            raise UsageError(f"{new!r}: can't be an object's name; expected a valid folder name")
    after = [names.get(name, name) for name in personal.objects]
    if twice := sorted({name for name in after if after.count(name) > 1}):
        raise UsageError(
            f"{twice[0]!r}: two objects would have this name; choose another name, or forget one of the objects first"
        )
    parts = [(replace(video, object=names.get(video.object, video.object)), f) for video, f in personal.support.parts()]
    if after == sorted(after):
        return replace(personal, support=SupportSet.of(parts))
    _require_separable(personal, "to change the order of the names")
    return _again(personal, SupportSet.of(parts))


def held_out(personal: PersonalRecognizer) -> HeldOut:
    """The head's results on videos held out by likeness, see `leave_out`."""
    support = personal.support.with_grouped_photos
    teaching = HeadTeaching.settled(personal.fitted.recognizer, support)
    return hold_out(teaching, rounds_by_likeness(support.videos, support.features))


def _calibrated(
    fitted: FittedRecognizer, user: str, support: SupportSet, origin: Mapping[str, Any], caution: Caution
) -> PersonalRecognizer:
    found = caution.chosen(calibrate(fitted.recognizer, support, origin=origin))
    return PersonalRecognizer(fitted, user, support, found, origin)


def _again(personal: PersonalRecognizer, support: SupportSet, caution: Caution | None = None) -> PersonalRecognizer:
    """Teach again with another support set. Without `caution`, the requested false alarms are kept, even if they can no
    longer be promised: forgetting an object must not fail because of that."""
    again = teach_features(
        personal.fitted.recognizer, personal.user, support, origin=personal.origin, caution=caution or BALANCED
    )
    if caution:
        return again
    previous: Rejection = personal.rejection
    rejection = replace(again.rejection, strictness=previous.strictness, asked=previous.asked)
    return replace(again, calibration=replace(again.calibration, rejection=rejection))


def _require_separable(personal: PersonalRecognizer, what: str) -> None:
    recognizer = personal.fitted.recognizer
    name = recognizer.learner.name if recognizer.learner else "(unnamed)"
    if not recognizer.shares_features:
        why = f"learner {name} adapts its extractor to all objects together"
    elif not recognizer.head_record.adds_objects:
        why = f"learner {name}'s head is fitted to all objects together"
    else:
        return
    raise UsageError(f"{why}: {what}, personalize again from all the videos")
