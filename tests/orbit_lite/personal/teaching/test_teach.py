"""Teaching in steps gives the same as teaching at once; forgotten objects leave nothing."""

import dataclasses

import pytest
import torch

from groundwork.errors import DataError, UsageError
from orbit_lite.config import builtin_names
from orbit_lite.models.heads.fitting import head_tensors
from orbit_lite.models.learner import LearnerConfig, load_learner
from orbit_lite.models.recognizer import build_recognizer
from orbit_lite.personal.decision.rejection import UNTESTED
from orbit_lite.personal.recognizer import TaughtVideo
from orbit_lite.personal.teaching.material import UserVideos
from orbit_lite.personal.teaching.teach import Caution, add_objects, forget_objects, held_out, teach

SIZE_PX = 32
LEARNERS = {name: load_learner(name) for name in builtin_names("learner")} | {
    "logistic": LearnerConfig(name="logistic", head="logistic", extractor="frozen")
}
ONE_STEP = [name for name, learner in LEARNERS.items() if learner.adapter == "none"]
ADAPTING = sorted(set(LEARNERS) - set(ONE_STEP))


def recognizer_of(learner):
    return build_recognizer(LEARNERS[learner], "tiny", weights="random", seed=1, frame_size_px=SIZE_PX)


def user_videos_of(recognizer, videos):
    """UserVideos with synthetic frames; `videos`: (object, number of the video), three frames each."""
    taught, tensors = [], []
    for name, number in sorted(videos):
        digest = f"{name}-{number}"
        generator = torch.Generator().manual_seed(sum(map(ord, digest)))
        images = torch.randint(0, 256, (3, 3, SIZE_PX, SIZE_PX), dtype=torch.uint8, generator=generator)
        images[:, len(name) % 3] //= 4  # things of different colors
        taught.append(TaughtVideo(name, 90, (1, 31, 61), digest))
        tensors.append(images if not recognizer.shares_features else recognizer.embed(images))
    return UserVideos("alice", tuple(taught), tuple(tensors), (), (), 0)


def same(a, b):
    assert a.objects == b.objects and a.support.videos == b.support.videos and a.calibration == b.calibration
    assert torch.equal(a.support.features, b.support.features)
    ours, theirs = head_tensors(a.fitted.head), head_tensors(b.fitted.head)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


MORE = [("hat", 1), ("hat", 2)]
ALL = [("mug", 1), ("mug", 2), ("keys", 1), ("keys", 2), ("wallet", 1), ("wallet", 2)]


@pytest.mark.parametrize("learner", ONE_STEP)
class TestInSteps:
    def test_adding_gives_the_same_as_teaching_at_once(self, learner):
        recognizer = recognizer_of(learner)
        whole = teach(recognizer, user_videos_of(recognizer, ALL), origin={})
        first = teach(recognizer, user_videos_of(recognizer, ALL[:4]), origin={})
        same(add_objects(first, user_videos_of(recognizer, ALL[4:])), whole)

    def test_forgetting_gives_the_same_as_never_teaching(self, learner):
        recognizer = recognizer_of(learner)
        whole = teach(recognizer, user_videos_of(recognizer, ALL), origin={})
        left = [video for video in ALL if video[0] != "keys"]
        same(forget_objects(whole, ["keys"]), teach(recognizer, user_videos_of(recognizer, left), origin={}))

    def test_replacing_gives_the_same_as_teaching_the_new_videos_first(self, learner):
        recognizer = recognizer_of(learner)
        whole = teach(recognizer, user_videos_of(recognizer, ALL), origin={})
        new = [("keys", 7), ("keys", 8), ("keys", 9)]
        wanted = [video for video in ALL if video[0] != "keys"] + new
        replaced = add_objects(whole, user_videos_of(recognizer, new), known="replace")
        same(replaced, teach(recognizer, user_videos_of(recognizer, wanted), origin={}))

    def test_extending_keeps_old_and_new_videos_once_each(self, learner):
        recognizer = recognizer_of(learner)
        whole = teach(recognizer, user_videos_of(recognizer, ALL), origin={})
        extended = add_objects(whole, user_videos_of(recognizer, [("keys", 2), ("keys", 3)]), known="extend")
        same(extended, teach(recognizer, user_videos_of(recognizer, [*ALL, ("keys", 3)]), origin={}))

    def test_the_original_recognizer_is_unchanged(self, learner):
        recognizer = recognizer_of(learner)
        whole, again = (teach(recognizer, user_videos_of(recognizer, ALL), origin={}) for _ in range(2))
        forget_objects(whole, ["mug"])
        add_objects(whole, user_videos_of(recognizer, [("hat", 1), ("hat", 2)]))
        same(whole, again)


@pytest.mark.parametrize("caution", [Caution(), Caution("careful"), Caution(false_alarms=0.9)])
def test_the_requested_caution_is_kept(caution):
    """Adding, replacing and forgetting objects changes the threshold, but not the requested caution."""
    recognizer = recognizer_of("protonets")

    def taught(videos):
        return teach(recognizer, user_videos_of(recognizer, videos), origin={}, caution=caution)

    whole = taught(ALL)
    assert whole.rejection.asked == caution.false_alarms
    assert whole.rejection.strictness == ("" if caution.false_alarms else caution.strictness)
    same(forget_objects(add_objects(whole, user_videos_of(recognizer, MORE)), ["hat"]), whole)
    same(add_objects(whole, user_videos_of(recognizer, MORE)), taught([*ALL, *MORE]))
    extended = add_objects(whole, user_videos_of(recognizer, [("keys", 3)]), known="extend")
    same(extended, taught([*ALL, ("keys", 3)]))
    left = forget_objects(whole, ["mug", "keys"])  # with one object there is no threshold until another one is added
    assert left.rejection.point == UNTESTED and left.rejection.asked == caution.false_alarms
    same(add_objects(left, user_videos_of(recognizer, ALL[:4])), whole)


def test_another_caution_can_be_requested_when_adding_objects():
    recognizer = recognizer_of("protonets")
    first = teach(recognizer, user_videos_of(recognizer, ALL), origin={})
    more = add_objects(first, user_videos_of(recognizer, MORE), caution=Caution("eager"))
    same(more, teach(recognizer, user_videos_of(recognizer, [*ALL, *MORE]), origin={}, caution=Caution("eager")))


def test_an_impossible_caution_is_refused_with_the_lowest_possible_share():
    recognizer = recognizer_of("protonets")
    with pytest.raises(
        UsageError, match=r"--false-alarms 0.01: the lowest share that these videos can promise is 0\.\d\d"
    ):
        teach(recognizer, user_videos_of(recognizer, ALL), origin={}, caution=Caution(false_alarms=0.01))
    with pytest.raises(UsageError, match="this takes three objects with two videos each"):
        teach(recognizer, user_videos_of(recognizer, ALL[:4]), origin={}, caution=Caution(false_alarms=0.5))
    with pytest.raises(UsageError, match="'careful' can't be chosen: no object had two videos"):
        teach(recognizer, user_videos_of(recognizer, ALL[::2]), origin={}, caution=Caution("careful"))


def test_forgetting_works_even_if_the_caution_can_no_longer_be_promised():
    recognizer = recognizer_of("protonets")
    whole = teach(recognizer, user_videos_of(recognizer, ALL), origin={}, caution=Caution(false_alarms=0.9))
    left = forget_objects(whole, ["keys"])
    assert left.rejection.asked == 0.9 and left.rejection.point == left.rejection.curve[-1]


@pytest.mark.parametrize("learner", ADAPTING)
def test_a_learner_that_adapts_refuses(learner):
    recognizer = recognizer_of(learner)
    personal = teach(recognizer, user_videos_of(recognizer, ALL), origin={})
    for change in (
        lambda: forget_objects(personal, ["mug"]),
        lambda: add_objects(personal, user_videos_of(recognizer, [("hat", 1)])),
    ):
        with pytest.raises(UsageError, match=f"learner {learner} adapts its extractor to all objects together"):
            change()


@pytest.mark.parametrize("learner", LEARNERS)
def test_every_learner_is_taught_and_answers(learner):
    recognizer = recognizer_of(learner)
    personal = teach(recognizer, user_videos_of(recognizer, ALL), origin={})
    scores = personal.scores(torch.zeros(5, 3, SIZE_PX, SIZE_PX, dtype=torch.uint8))
    assert scores.probabilities.shape == (5, 3) and scores.familiarity.shape == (5,)
    assert abs(scores.probabilities.sum(1) - 1).max() < 1e-5
    assert personal.rejection.curve and personal.rejection.frames == 18
    assert len(held_out(personal).frame) == 18


def test_a_usage_error_names_the_mistake():
    recognizer = recognizer_of("protonets")
    personal = teach(recognizer, user_videos_of(recognizer, ALL), origin={})
    with pytest.raises(UsageError, match=r"no object 'mag' \(did you mean 'mug'\?\)"):
        forget_objects(personal, ["mag"])
    with pytest.raises(UsageError, match="these are all the objects"):
        forget_objects(personal, ["mug", "keys", "wallet"])
    with pytest.raises(UsageError, match="'keys': already known; use --replace"):
        add_objects(personal, user_videos_of(recognizer, [("keys", 5)]))
    with pytest.raises(DataError, match="1 object"):
        teach(recognizer, user_videos_of(recognizer, ALL[:2]), origin={})
    stolen = user_videos_of(recognizer, [("hat", 1)])
    stolen = dataclasses.replace(stolen, videos=(dataclasses.replace(stolen.videos[0], digest="mug-1"),))
    with pytest.raises(DataError, match="'mug' and 'hat' have the same video"):
        add_objects(personal, stolen)


def test_with_one_object_left_nothing_is_called_none_of_these():
    recognizer = recognizer_of("protonets")
    personal = teach(recognizer, user_videos_of(recognizer, ALL), origin={})
    assert forget_objects(personal, ["mug", "keys"]).rejection.point == UNTESTED


def test_with_single_videos_nothing_is_called_none_of_these():
    recognizer = recognizer_of("protonets")
    personal = teach(recognizer, user_videos_of(recognizer, ALL[::2]), origin={})
    assert personal.rejection.point == UNTESTED and len(held_out(personal).frame) == 0
