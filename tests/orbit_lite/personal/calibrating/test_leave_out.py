"""Holding videos out: which ones are held out together, and that they never teach, for every head and for learners that
adapt."""

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
from orbit_lite.personal.calibrating.leave_out import (
    HeadTeaching,
    TaughtRecognizer,
    WholeTeaching,
    hold_out,
    rounds_by_likeness,
    rounds_of_single_videos,
)
from orbit_lite.personal.decision.familiarity import nearest_cosine, object_means
from orbit_lite.personal.recognizer import SupportSet, TaughtVideo, video_of_each_frame
from tests.orbit_lite.personal.simulated_users import World, recognizer_of

SIZE_PX = 32
ADAPTING = {
    "generator": LearnerConfig(name="g", head="mahalanobis", adapter="generator", extractor="frozen"),
    "steps": LearnerConfig(name="s", head="linear", adapter="steps", extractor="frozen", steps=2),
}


def by_likeness(support):
    return rounds_by_likeness(support.videos, support.features)


def one_at_a_time(support):
    return rounds_of_single_videos(support.videos)


WAYS = [by_likeness, one_at_a_time]


def head_of(name, width=8):
    with torch.random.fork_rng():
        torch.manual_seed(3)
        record = HEADS[name]
        learner = LearnerConfig(name=name, head=name, extractor="frozen")
        return record.build(learner, record.settings(), width)


def whole_teaching(learner, videos=(("keys", 2), ("mug", 3)), *, seed=0):
    """A learner, and images with two frames per video."""
    recognizer = build_recognizer(learner, "tiny", weights="random", seed=1, frame_size_px=SIZE_PX)
    taught = tuple(
        TaughtVideo(name, 60, (1, 31), f"{name}-{number}") for name, count in videos for number in range(count)
    )
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (2 * len(taught), 3, SIZE_PX, SIZE_PX), dtype=torch.uint8, generator=generator)
    return WholeTeaching(recognizer, taught, images)


@dataclasses.dataclass
class Recorded:
    """A teaching that records, for each recognizer, which frames taught it and which it judged."""

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

        return TaughtRecognizer(made.head, made.means, features)


def video(name, digest):
    return TaughtVideo(name, 30, (1,), digest)


def digests(rounds, videos):
    """The rounds as objects and digests."""
    return [{(videos[place].object, videos[place].digest) for place in held} for held in rounds]


class TestOneAtATime:
    def test_by_hand(self):
        # digests are out of order: the bag's first video is the one with the lowest
        videos = [video("bag", "b"), video("bag", "a"), *(video("mug", d) for d in "zyx"), video("keys", "c")]
        assert rounds_of_single_videos(videos) == [[1, 4], [0, 3], [2]]
        assert rounds_of_single_videos(videos[5:]) == []
        assert rounds_of_single_videos([video("a", "1"), video("b", "2")]) == []

    def test_two_of_an_object_are_never_held_out_together(self):
        videos = [video(f"thing {k}", f"{k}{n}") for k, count in enumerate((5, 3, 1, 2)) for n in range(count)]
        for held in rounds_of_single_videos(videos):
            assert max(Counter(videos[place].object for place in held).values()) == 1


class TestByLikeness:
    def test_two_places_form_the_two_groups(self):
        """Three videos of each object at home and three in the shop: each round holds out one place of each object."""
        support = World(objects=4, places=2, videos=3, own=3.0, drift=0.3).user(0).support
        of_place = {video.digest: number // 3 % 2 for number, video in enumerate(support.videos)}
        rounds = by_likeness(support)
        for held, name in itertools.product(rounds, support.objects):
            places = [of_place[support.videos[k].digest] for k in held if support.videos[k].object == name]
            assert len(places) == 3 and len(set(places)) == 1

    def test_the_group_with_the_lowest_digest_is_held_out_first(self):
        videos = [video("bag", d) for d in "dbca"] + [video("mug", "f"), video("mug", "e")]
        comparison_features = torch.tensor([[1, 0], [0, 1], [1, 0.1], [1, 0.2], [1, 1], [1, 1]])
        # the bag's b differs from the other three, of which a comes first
        assert [sorted(held) for held in rounds_by_likeness(videos, comparison_features)] == [[0, 2, 3, 5], [1, 4]]

    def test_the_length_of_features_does_not_matter(self):
        videos = [video("bag", d) for d in "abcd"]
        comparison_features = torch.tensor([[1, 0.0], [0, 1], [9, 0.5], [0.1, 8]])
        assert rounds_by_likeness(videos, comparison_features) == [[0, 2], [1, 3]]

    def test_groups_are_from_wards_linkage_not_single_linkage(self):
        """Directions at 0, 8, 20, 28 and 41 degrees: the widest gap is the last, but the groups stay compact."""
        angles = torch.deg2rad(torch.tensor([0.0, 8, 20, 28, 41]))
        comparison_features = torch.stack([angles.cos(), angles.sin()], dim=1)
        assert rounds_by_likeness([video("bag", d) for d in "abcde"], comparison_features) == [[0, 1], [2, 3, 4]]

    def test_videos_are_compared_by_their_means(self):
        # c's two frames point in opposite directions, but its mean is like b's
        videos = [*(video("bag", d) for d in "ab"), TaughtVideo("bag", 60, (1, 31), "c")]
        comparison_features = torch.tensor([[1, 0.0], [0.7, 0.7], [1, 0.0], [0.0, 1]])
        assert rounds_by_likeness(videos, comparison_features) == [[0], [1, 2]]

    @pytest.mark.parametrize("count", [2, 3, 4, 7])
    def test_identical_videos_are_also_split_in_two(self, count):
        videos = [video("bag", str(number)) for number in range(count)]
        first, second = rounds_by_likeness(videos, torch.ones(count, 4))
        assert sorted(first + second) == list(range(count)) and first and second and 0 in first

    def test_single_videos_give_no_rounds(self):
        assert rounds_by_likeness([video("a", "1"), video("b", "2")], torch.eye(2)) == []


@pytest.mark.parametrize("rounds_of", WAYS)
class TestRounds:
    @pytest.mark.parametrize("counts", [(2, 1), (2, 2, 2), (5, 3, 1, 2), (9, 4)])
    def test_every_video_is_held_out_once_if_its_object_has_two(self, rounds_of, counts, make_support):
        for seed in range(5):
            support = make_support({f"thing {k}": count for k, count in enumerate(counts)}, drift=2.0, seed=seed)
            rounds = rounds_of(support)
            held = Counter(place for of_round in rounds for place in of_round)
            assert held == {k: 1 for k, v in enumerate(support.videos) if counts[int(v.object[-1])] > 1}
            for of_round in rounds:
                assert of_round
                left = {v.object for place, v in enumerate(support.videos) if place not in of_round}
                assert left == set(support.objects)

    def test_order_of_the_videos_changes_no_round(self, rounds_of, make_support):
        support = make_support({"bag": 5, "keys": 1, "mug": 3}, drift=2.0)
        rounds = digests(rounds_of(support), support.videos)
        for seed in range(20):
            parts = support.parts()
            other = SupportSet.of([parts[k] for k in np.random.default_rng(seed).permutation(len(parts))])
            assert digests(rounds_of(other), other.videos) == rounds

    def test_names_of_objects_change_no_group(self, rounds_of, make_support):
        support = make_support({"bag": 5, "keys": 1, "mug": 3}, drift=2.0)
        names = {"bag": "zebra", "keys": "a thing", "mug": "mug"}
        other = SupportSet.of((dataclasses.replace(v, object=names[v.object]), f) for v, f in support.parts())
        renamed = [
            {(names[name], digest) for name, digest in held} for held in digests(rounds_of(support), support.videos)
        ]
        assert digests(rounds_of(other), other.videos) == renamed


class TestHoldOut:
    @pytest.mark.parametrize("rounds_of", WAYS)
    @pytest.mark.parametrize("head", HEADS)
    def test_held_out_videos_do_not_change_their_recognizer(self, make_support, head, rounds_of):
        support = make_support({"bag": 2, "keys": 1, "mug": 3, "watch": 3})
        rounds = rounds_of(support)
        clean = Recorded(HeadTeaching(head_of(head), support))
        hold_out(clean, rounds)
        assert len(clean.taught) == len(rounds)
        of_frame = video_of_each_frame(support.videos)
        for held, (taught, frames, _) in zip(rounds, clean.taught, strict=True):
            features = support.features.clone()
            features[torch.isin(of_frame, torch.tensor(held))] = float("nan")
            spoilt = HeadTeaching(head_of(head), SupportSet(support.videos, features)).teach(frames)
            ours, theirs = head_tensors(taught.head), head_tensors(spoilt.head)
            assert all(torch.equal(ours[name], theirs[name]) for name in ours)
            assert torch.equal(taught.means, spoilt.means)
            assert torch.isfinite(next(iter(ours.values()))).all() and torch.isfinite(spoilt.means).all()

    @pytest.mark.parametrize("adapter", ADAPTING)
    def test_held_out_videos_do_not_adapt_their_extractor(self, adapter):
        whole = whole_teaching(ADAPTING[adapter])
        rounds = rounds_by_likeness(whole.videos, whole.comparison_features)
        clean = Recorded(whole)
        hold_out(clean, rounds)
        of_frame = video_of_each_frame(whole.videos)
        for held, (taught, frames, _) in zip(rounds, clean.taught, strict=True):
            out = torch.isin(of_frame, torch.tensor(held))
            images = whole.images.clone()
            images[out] = 255 - images[out]
            spoilt = dataclasses.replace(whole, images=images).teach(frames)
            # on the teaching frames, the extractor's state, the head and the means are the same
            assert torch.equal(spoilt.features(~out), taught.features(~out)) and torch.equal(spoilt.means, taught.means)
            assert all(torch.equal(head_tensors(spoilt.head)[k], v) for k, v in head_tensors(taught.head).items())
            # and it differs from the one taught with all videos
            everything = whole.teach(torch.ones_like(out))
            assert not torch.equal(everything.features(~out), taught.features(~out))

    @pytest.mark.parametrize("rounds_of", WAYS)
    def test_only_held_out_frames_are_judged_and_all_others_teach(self, make_support, rounds_of):
        support = make_support({"bag": 2, "keys": 1, "mug": 3})
        rounds = rounds_of(support)
        recorded = Recorded(HeadTeaching(head_of("proto"), support))
        found = hold_out(recorded, rounds)
        judged = torch.zeros(len(support.features), dtype=torch.int64)
        for held, (_, frames, (asked,)) in zip(rounds, recorded.taught, strict=True):
            assert torch.equal(asked, ~frames)
            assert torch.equal(asked, torch.isin(support.video_numbers, torch.tensor(held)))
            judged += asked
        assert found.frame.tolist() == judged.nonzero().flatten().tolist()
        assert judged.max() == 1

    def test_each_row_has_its_frame_and_scores(self, make_support):
        """Logits and cosines are computed again, one video at a time."""
        support = make_support({"bag": 2, "keys": 1, "mug": 4}, apart=1)
        rounds = by_likeness(support)
        found = hold_out(HeadTeaching(head_of("proto"), support), rounds)
        assert found.label.tolist() == support.labels[found.frame].tolist()
        assert found.video.tolist() == support.video_numbers[found.frame].tolist()
        assert found.videos == 6 and found.logits.shape == (24, 3)
        for number, held in enumerate(rounds):
            taught = ~torch.isin(support.video_numbers, torch.tensor(held))
            known = support.features[taught], support.labels[taught], support.video_numbers[taught]
            head = head_of("proto").fit(known[0], known[1], way=3, videos=known[2])
            means = object_means(*known, way=3)
            rows = found.round == number
            assert sorted(set(found.video[rows].tolist())) == sorted(held)
            queries = support.features[found.frame[rows]]
            assert np.allclose(found.logits[rows], head.logits(queries), atol=1e-5)
            assert np.allclose(found.cosine[rows], nearest_cosine(queries, means), atol=1e-6)
        assert found.prediction.tolist() == found.logits.argmax(axis=1).tolist()
        assert found.right.tolist() == (found.prediction == found.label).tolist()

    def test_each_recognizer_is_reported_with_its_round_and_an_empty_round_uses_all(self, make_support):
        support = make_support({"bag": 2, "mug": 2})
        shown = []
        found = hold_out(
            HeadTeaching(head_of("proto"), support),
            [[0], [], [2]],
            taught_in=lambda number, taught: shown.append((number, taught)),
        )
        assert [number for number, _ in shown] == [0, 1, 2] and set(found.round.tolist()) == {0, 2}
        everything = head_of("proto").fit(support.features, support.labels, way=2, videos=support.video_numbers)
        assert torch.allclose(shown[1][1].head.means, everything.means)
        logits, cosine = shown[1][1].scores(support.features[:3])
        assert logits.shape == (3, 2) and logits.dtype == cosine.dtype == np.float64

    def test_without_adaptation_images_and_features_give_the_same_results(self):
        whole = whole_teaching("protonets", (("keys", 3), ("mug", 3), ("bag", 1)))
        order = sorted(range(len(whole.videos)), key=lambda place: whole.videos[place].object)
        assert order != list(range(len(whole.videos)))  # so that the order of objects' names is also tested
        frames = torch.tensor([2 * place + k for place in order for k in (0, 1)])
        videos = tuple(whole.videos[place] for place in order)
        whole = WholeTeaching(whole.recognizer, videos, whole.images[frames])
        support = SupportSet(videos, whole.recognizer.embed(whole.images))
        assert rounds_by_likeness(videos, whole.comparison_features) == by_likeness(support)
        ours = hold_out(HeadTeaching(whole.recognizer.head, support), by_likeness(support))
        theirs = hold_out(whole, by_likeness(support))
        assert ours.prediction.tolist() == theirs.prediction.tolist() and ours.frame.tolist() == theirs.frame.tolist()
        assert np.allclose(ours.logits, theirs.logits, atol=1e-4)
        assert np.allclose(ours.cosine, theirs.cosine, atol=1e-5)

    @pytest.mark.parametrize("rounds_of", WAYS)
    @pytest.mark.parametrize("head", sorted(HEADS.keys() - {"versa"}))  # versa: untrained, it recognizes nothing
    def test_very_different_objects_are_all_recognized(self, make_support, head, rounds_of):
        support = make_support({"bag": 3, "keys": 2, "mug": 3}, apart=20)
        assert hold_out(HeadTeaching(head_of(head), support), rounds_of(support)).right.all()

    def test_random_names_give_about_chance(self, make_support):
        """Videos are assigned to 4 objects at random: a quarter is right, over 40 draws."""
        right = {rounds_of: [] for rounds_of in WAYS}
        for seed in range(40):
            support = make_support({"one thing": 16}, drift=1.0, seed=seed)
            rng = np.random.default_rng(seed)
            names = rng.permutation([f"thing {k % 4}" for k in range(16)]).tolist()
            videos = [
                (dataclasses.replace(video, object=name), features)
                for name, (video, features) in zip(names, support.parts(), strict=True)
            ]
            dealt = SupportSet.of(videos)
            for rounds_of in WAYS:
                found = hold_out(HeadTeaching(head_of("proto"), dealt), rounds_of(dealt))
                right[rounds_of].append(found.right.mean())
        # a held-out video pulls no mean to itself but leaves its object's mean farther away, and the videos like it
        # leave with it: below a quarter
        assert 0.13 < np.mean(right[one_at_a_time]) < 0.29
        assert 0.05 < np.mean(right[by_likeness]) < 0.29

    @pytest.mark.parametrize("rounds_of", WAYS)
    def test_order_of_videos_changes_nothing(self, make_support, rounds_of):
        support = make_support({"bag": 2, "mug": 3, "watch": 3}, apart=0.4)
        found = hold_out(HeadTeaching(head_of("proto"), support), rounds_of(support))
        assert 0 < found.right.mean() < 1
        rows = by_digest(support, found)
        for seed in range(5):
            order = np.random.default_rng(seed).permutation(len(support.videos))
            parts = support.parts()
            other = SupportSet.of([parts[place] for place in order])
            again = by_digest(other, hold_out(HeadTeaching(head_of("proto"), other), rounds_of(other)))
            assert again.keys() == rows.keys()
            for digest, row in again.items():
                assert np.allclose(row, rows[digest], atol=1e-4)

    @pytest.mark.parametrize("rounds_of", WAYS)
    def test_with_single_videos_nothing_is_held_out(self, make_support, rounds_of):
        support = make_support({"bag": 1, "mug": 1})
        found = hold_out(HeadTeaching(head_of("proto"), support), rounds_of(support))
        assert len(found.frame) == len(found.right) == len(found.cosine) == found.videos == 0
        assert found.logits.shape == (0, 2)


def by_digest(support, found):
    """Each held-out video's logits and cosines, and whether its frames are right."""
    return {
        support.videos[place].digest: np.column_stack([found.logits, found.cosine, found.right])[found.video == place]
        for place in np.unique(found.video)
    }


class TestSettled:
    @pytest.mark.parametrize("learner", ["ridge", "lda"])
    def test_a_heads_hyperparameter_is_chosen_once_on_all_videos(self, learner):
        recognizer, support = recognizer_of(learner), World(objects=3).user(1).support
        settled = HeadTeaching.settled(recognizer, support)
        record = recognizer.head_record
        taught = support.features, support.labels, support.video_numbers
        assert settled.head == record.settle(recognizer.head, *taught, 3) != recognizer.head
        assert settled.support is support and settled.device == recognizer.device

    def test_a_head_without_hyperparameters_is_unchanged(self, make_support):
        recognizer = recognizer_of("protonets")
        assert HeadTeaching.settled(recognizer, make_support({"bag": 2, "mug": 2})).head is recognizer.head
