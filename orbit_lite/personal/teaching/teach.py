"""A user's videos to a personal recogniser; objects added, replaced and forgotten later, without the others' videos."""

from collections.abc import Mapping, Sequence
from typing import Any

from groundwork.errors import AskedWrong, FoundWrong
from groundwork.words import nearest
from orbit_lite.models.recognizer import Recognizer
from orbit_lite.personal.familiarity import Threshold, find_threshold
from orbit_lite.personal.recognizer import PersonalRecognizer
from orbit_lite.personal.support import SupportSet, label_of_each_frame, video_of_each_frame
from orbit_lite.personal.teaching.leave_out import HeadTeaching, HeldOut, leave_one_video_out
from orbit_lite.personal.teaching.material import Lesson, lesson_images

LEAST_OBJECTS = 2  # to tell apart, and to know what is none of them


def teach(
    recognizer: Recognizer, lesson: Lesson, *, origin: Mapping[str, Any], false_alarms: float | None = None
) -> PersonalRecognizer:
    """A personal recogniser of all that a lesson holds.

    Args:
        recognizer: as meta-trained, or not; the lesson was read with it.
        lesson: one user's videos.
        origin: what the file is to say of where it comes from, plain JSON.
        false_alarms: share of frames of things never taught that may be called one of the objects, in [0, 1); None
            balances them with frames of the objects that are refused, see `find_threshold`.

    Raises:
        FoundWrong: if there are fewer than two objects, or the recogniser's weights are not finite.
    """
    if len(lesson.objects) < LEAST_OBJECTS:
        raise FoundWrong(
            f"user {lesson.user}: 1 object ({lesson.objects[0]}); a recogniser tells objects apart: film at least 2"
        )
    if recognizer.shares_features:
        support = SupportSet.of(zip(lesson.videos, lesson.tensors, strict=True))
        return teach_features(recognizer, lesson.user, support, origin=origin, false_alarms=false_alarms)
    images = lesson_images(lesson)
    labels, videos = label_of_each_frame(lesson.videos), video_of_each_frame(lesson.videos)
    fitted = recognizer.personalize(images, labels, videos, way=len(lesson.objects))
    support = SupportSet(lesson.videos, fitted.embed(images).cpu())
    threshold = _threshold(recognizer, support, false_alarms)
    return PersonalRecognizer(fitted, lesson.user, support, threshold, origin)


def teach_features(
    recognizer: Recognizer,
    user: str,
    support: SupportSet,
    *,
    origin: Mapping[str, Any],
    false_alarms: float | None = None,
) -> PersonalRecognizer:
    """A personal recogniser of a support set that is embedded already, by a recogniser that does not adapt.

    Arguments as for `teach`.

    Raises:
        FoundWrong: if the recogniser's weights are not finite.
    """
    taught = support.features, support.labels, support.video_numbers
    fitted = recognizer.personalize_from_features(*taught, way=support.way)
    return PersonalRecognizer(fitted, user, support, _threshold(recognizer, support, false_alarms), origin)


def add_objects(personal: PersonalRecognizer, lesson: Lesson, *, known: str = "refuse") -> PersonalRecognizer:
    """Teach more, from the new videos alone.

    Args:
        personal: what is known; its other objects' videos are not needed.
        lesson: the new videos, read with `personal.fitted.recognizer`.
        known: an object that is known already is an error (`refuse`), is taught by the new videos in place of the old
            ones (`replace`), or beside them (`extend`).

    Raises:
        AskedWrong: if an object is known and nothing is said of that, or the learner needs all videos together.
        FoundWrong: if a new video is one that another object was taught with.
    """
    _require_separable(personal, "to add or replace objects")
    again = [name for name in lesson.objects if name in personal.objects]
    if again and known == "refuse":
        raise AskedWrong(
            f"{', '.join(map(repr, again))}: known already; --replace takes the new videos in place of the old ones, "
            "--extend beside them"
        )
    old = [pair for pair in personal.support.parts() if known == "extend" or pair[0].object not in again]
    known_digests = {video.digest: video.object for video, _ in old}
    new = []
    for video, features in zip(lesson.videos, lesson.tensors, strict=True):
        other = known_digests.get(video.digest, video.object)
        if other != video.object:
            raise FoundWrong(f"objects {other!r} and {video.object!r} have the same video; film {video.object!r} anew")
        if video.digest not in known_digests:  # one that it was taught with already teaches nothing more
            new.append((video, features))
    return _again(personal, SupportSet.of([*old, *new]))


def forget_objects(personal: PersonalRecognizer, names: Sequence[str]) -> PersonalRecognizer:
    """The recogniser without some objects: nothing of their videos is in the result.

    Raises:
        AskedWrong: if one is not known, none would be left, or the learner needs all videos together.
    """
    for name in names:
        if name not in personal.objects:
            hint = nearest(name, personal.objects)
            raise AskedWrong(f"no object {name!r}{hint}; there are {', '.join(personal.objects)}")
    _require_separable(personal, "to forget an object")
    if set(names) >= set(personal.objects):
        raise AskedWrong(f"{', '.join(names)}: all the objects there are; forget the whole file instead")
    return _again(personal, personal.support.without(names))


def held_out(personal: PersonalRecognizer) -> HeldOut:
    """Leave one video out, see `leave_one_video_out`."""
    recognizer = personal.fitted.recognizer
    return leave_one_video_out(HeadTeaching(recognizer.head, personal.support, recognizer.device))


def _again(personal: PersonalRecognizer, support: SupportSet) -> PersonalRecognizer:
    asked = personal.threshold.asked
    recognizer = personal.fitted.recognizer
    return teach_features(recognizer, personal.user, support, origin=personal.origin, false_alarms=asked)


def _threshold(recognizer: Recognizer, support: SupportSet, false_alarms: float | None) -> Threshold:
    if support.way < LEAST_OBJECTS:  # nothing to be strange: it can't be told what is none of these
        return Threshold(None, asked=false_alarms)
    found = leave_one_video_out(HeadTeaching(recognizer.head, support, recognizer.device))
    return find_threshold(found.known, found.strange, false_alarms=false_alarms)


def _require_separable(personal: PersonalRecognizer, what: str) -> None:
    recognizer = personal.fitted.recognizer
    name = recognizer.learner.name if recognizer.learner else "without a name"
    if not recognizer.shares_features:
        why = f"learner {name} adapts its extractor to all objects together"
    elif not recognizer.head_record.adds_objects:
        why = f"learner {name}'s head is fitted to all objects together"
    else:
        return
    raise AskedWrong(f"{why}: {what}, personalize again from all the videos")
