"""Leave one video out: what is held out never teaches, for every head and for learners that adapt."""

import dataclasses
import itertools
from collections import Counter

import numpy as np
import pytest
import torch

from orbit_lite.models.heads import HEADS
from orbit_lite.models.heads.fitting import head_tensors
from orbit_lite.models.learner import LearnerConfig
from orbit_lite.models.recognizer import build_recognizer
from orbit_lite.personal.calibrating.leave_out import HeadTeaching, Taught, WholeTeaching, leave_one_video_out, rounds
from orbit_lite.personal.decision.familiarity import familiarity
from orbit_lite.personal.recognizer import SupportSet, TaughtVideo, video_of_each_frame

SIZE_PX = 32
ADAPTING = {
    "generator": LearnerConfig(name="g", head="mahalanobis", adapter="generator", extractor="frozen"),
    "steps": LearnerConfig(name="s", head="linear", adapter="steps", extractor="frozen", steps=2),
}


def head_of(name, width=8):
    with torch.random.fork_rng():
        torch.manual_seed(3)
        record = HEADS[name]
        learner = LearnerConfig(name=name, head=name, extractor="frozen")
        return record.build(learner, record.settings(), width)


def whole_teaching(learner, videos=(("keys", 2), ("mug", 3)), *, seed=0):
    """A learner, and images of two frames a video."""
    recognizer = build_recognizer(learner, "tiny", weights="random", seed=1, frame_size_px=SIZE_PX)
    taught = tuple(
        TaughtVideo(name, 60, (1, 31), f"{name}-{number}") for name, count in videos for number in range(count)
    )
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (2 * len(taught), 3, SIZE_PX, SIZE_PX), dtype=torch.uint8, generator=generator)
    return WholeTeaching(recognizer, taught, images)


@dataclasses.dataclass
class Recorded:
    """A teaching that remembers what it was asked: for each recogniser its head, who taught it, and who was judged."""

    inner: object

    def __post_init__(self):
        self.taught = []

    @property
    def videos(self):
        return self.inner.videos

    def teach(self, frames):
        made = self.inner.teach(frames)
        self.taught.append((made, frames, []))
        seen = self.taught[-1][2]

        def features(asked):
            seen.append(asked)
            return made.features(asked)

        return Taught(made.head, features)


def video(name, digest):
    return TaughtVideo(name, 30, (1,), digest)


def test_rounds_by_hand():
    # digests out of order: the first video of the bag is the one with the lowest
    videos = [video("bag", "b"), video("bag", "a"), *(video("mug", d) for d in "zyx"), video("keys", "c")]
    assert rounds(videos) == [[1, 4], [0, 3], [2]]
    assert rounds(videos[5:]) == [] and rounds([video("a", "1"), video("b", "2")]) == []


@pytest.mark.parametrize("counts", [(1, 1), (2, 1), (2, 2, 2), (5, 3, 1, 2)])
def test_every_video_of_an_object_with_two_is_held_out_once_and_one_of_it_at_a_time(counts):
    videos = [video(f"thing {k}", f"{k}{n}") for k, count in enumerate(counts) for n in range(count)]
    held = Counter(place for held in rounds(videos) for place in held)
    assert held == {place: 1 for place, v in enumerate(videos) if counts[int(v.object[-1])] > 1}
    for of_round in rounds(videos):
        objects = [videos[place].object for place in of_round]
        assert len(set(objects)) == len(objects)
        left = {videos[place].object for place in set(range(len(videos))) - set(of_round)}
        assert left == {v.object for v in videos}


def test_rounds_do_not_hang_on_the_order_of_videos():
    videos = [video(name, digest) for name, digest in itertools.product(["bag", "mug"], "abc")]
    named = {frozenset(videos[place].digest + videos[place].object for place in held) for held in rounds(videos)}
    for order in itertools.permutations(videos):
        assert {frozenset(order[place].digest + order[place].object for place in held) for held in rounds(order)} == (
            named
        )


@pytest.mark.parametrize("head", HEADS)
def test_what_is_held_out_does_not_change_what_judges_it(make_support, head):
    support = make_support({"bag": 2, "keys": 1, "mug": 3, "watch": 3})
    clean = Recorded(HeadTeaching(head_of(head), support))
    leave_one_video_out(clean)
    todo = rounds(support.videos)
    assert len(clean.taught) == len(todo) == 3
    of_frame = video_of_each_frame(support.videos)
    for held, (taught, frames, _) in zip(todo, clean.taught, strict=True):
        features = support.features.clone()
        features[torch.isin(of_frame, torch.tensor(held))] = float("nan")
        spoilt = HeadTeaching(head_of(head), SupportSet(support.videos, features)).teach(frames)
        ours, theirs = head_tensors(taught.head), head_tensors(spoilt.head)
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
        assert torch.isfinite(next(iter(ours.values()))).all()


@pytest.mark.parametrize("adapter", ADAPTING)
def test_what_is_held_out_does_not_adapt_the_extractor_that_sees_it(adapter):
    whole = whole_teaching(ADAPTING[adapter])
    clean = Recorded(whole)
    leave_one_video_out(clean)
    of_frame = video_of_each_frame(whole.videos)
    for held, (taught, frames, _) in zip(rounds(whole.videos), clean.taught, strict=True):
        out = torch.isin(of_frame, torch.tensor(held))
        images = whole.images.clone()
        images[out] = 255 - images[out]
        spoilt = dataclasses.replace(whole, images=images).teach(frames)
        # as they see the frames that taught: the extractor's state and the head are the same
        assert torch.equal(spoilt.features(~out), taught.features(~out))
        assert all(torch.equal(head_tensors(spoilt.head)[k], v) for k, v in head_tensors(taught.head).items())
        # and it is another one than all videos together give
        everything = whole.teach(torch.ones_like(out))
        assert not torch.equal(everything.features(~out), taught.features(~out))


@pytest.mark.parametrize("head", HEADS)
def test_only_frames_that_did_not_teach_are_judged_and_all_others_do_teach(make_support, head):
    support = make_support({"bag": 2, "keys": 1, "mug": 3})
    recorded = Recorded(HeadTeaching(head_of(head), support))
    found = leave_one_video_out(recorded)
    judged = torch.zeros(len(support.features), dtype=torch.int64)
    for _, frames, seen in recorded.taught:
        assert any(torch.equal(asked, ~frames) for asked in seen)
        judged += ~frames
    assert found.frame.tolist() == judged.nonzero().flatten().tolist()
    assert judged.max() == 1
    assert found.label.tolist() == support.labels[found.frame].tolist()


def test_a_learner_that_adapts_nothing_is_judged_the_same_from_images_and_from_features():
    whole = whole_teaching("protonets", (("keys", 3), ("mug", 3), ("bag", 1)))
    order = sorted(range(len(whole.videos)), key=lambda place: whole.videos[place].object)
    assert order != list(range(len(whole.videos)))  # so the order of objects' names is put to the test, too
    frames = torch.tensor([2 * place + k for place in order for k in (0, 1)])
    videos = tuple(whole.videos[place] for place in order)
    whole = WholeTeaching(whole.recognizer, videos, whole.images[frames])
    support = SupportSet(videos, whole.recognizer.embed(whole.images))
    ours = leave_one_video_out(HeadTeaching(whole.recognizer.head, support))
    theirs = leave_one_video_out(whole)
    assert ours.prediction.tolist() == theirs.prediction.tolist() and ours.frame.tolist() == theirs.frame.tolist()
    for name in ("known", "strange"):
        assert np.allclose(getattr(ours, name), getattr(theirs, name), atol=1e-5)


@pytest.mark.parametrize("head", sorted(HEADS.keys() - {"versa"}))  # versa: its untrained networks recognise nothing
def test_things_far_apart_are_all_recognised(make_support, head):
    support = make_support({"bag": 3, "keys": 2, "mug": 3}, apart=20)
    assert leave_one_video_out(HeadTeaching(head_of(head), support)).right.all()


def test_names_that_say_nothing_give_about_chance(make_support):
    """Videos dealt to objects at random: of 4 objects a quarter is right, over many deals."""
    right = []
    for seed in range(40):
        support = make_support({"one thing": 16}, drift=1.0, seed=seed)
        rng = np.random.default_rng(seed)
        names = rng.permutation([f"thing {k % 4}" for k in range(16)]).tolist()
        videos = [
            (dataclasses.replace(video, object=name), features)
            for name, (video, features) in zip(names, support.parts(), strict=True)
        ]
        right.append(leave_one_video_out(HeadTeaching(head_of("proto"), SupportSet.of(videos))).right.mean())
    # a held-out video pulls no mean to itself but leaves its object's mean farther away: somewhat below a quarter
    assert 0.13 < np.mean(right) < 0.29


def test_order_of_videos_changes_nothing(make_support):
    support = make_support({"bag": 2, "mug": 3, "watch": 3}, apart=0.4)
    found = leave_one_video_out(HeadTeaching(head_of("proto"), support))
    assert 0 < found.right.mean() < 1
    by_video = dict(zip(*told(support, found), strict=True))
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(len(support.videos))
        parts = support.parts()
        other = SupportSet.of([parts[place] for place in order])
        digests, rows = told(other, leave_one_video_out(HeadTeaching(head_of("proto"), other)))
        for digest, row in zip(digests, rows, strict=True):
            assert row[0] == by_video[digest][0]
            assert np.allclose(row[1:], by_video[digest][1:], atol=1e-6)


def told(support, found):
    """Digest of each held-out video, and what was found of its frames."""
    of_frame = video_of_each_frame(support.videos).numpy()[found.frame]
    places = np.unique(of_frame)
    rows = [
        (found.prediction[of_frame == p].tolist(), *found.known[of_frame == p], *found.strange[of_frame == p])
        for p in places
    ]
    return [support.videos[p].digest for p in places], rows


def test_strange_is_familiarity_without_the_objects_own_videos(make_support):
    support = make_support({"bag": 2, "mug": 2, "watch": 2}, apart=1)
    found = leave_one_video_out(HeadTeaching(head_of("proto"), support))
    of_frame = video_of_each_frame(support.videos)
    held = rounds(support.videos)
    for place, label, known, strange in zip(found.frame, found.label, found.known, found.strange, strict=True):
        of_round = next(places for places in held if int(of_frame[place]) in places)
        taught = ~torch.isin(of_frame, torch.tensor(of_round))
        means = torch.stack([support.features[taught & (support.labels == k)].mean(0) for k in range(3)])
        near = familiarity(support.features[place][None], means)[0].tolist()
        assert known == pytest.approx(max(near), abs=1e-5)
        assert strange == pytest.approx(max(near[k] for k in range(3) if k != label), abs=1e-5)
    assert (found.strange <= found.known).all()


def test_single_videos_leave_nothing_to_hold_out(make_support):
    found = leave_one_video_out(HeadTeaching(head_of("proto"), make_support({"bag": 1, "mug": 1})))
    assert len(found.frame) == len(found.right) == len(found.known) == len(found.strange) == 0
