"""Each part of the calibration: what each number is computed from, and that no frame is judged by what it taught."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from torch import Tensor

from eval.calibration import expected_calibration_error
from eval.intervals import wilson_interval
from orbit_lite.models.heads.prototypes import PrototypeHead
from orbit_lite.models.heads.ridge import RidgeClassifier, RidgeHead
from orbit_lite.models.learner import LearnerConfig, load_learner
from orbit_lite.models.recognizer import Recognizer, build_recognizer
from orbit_lite.personal.calibrating.calibrate import MOST_LEFT_OUT, calibrate, estimate
from orbit_lite.personal.calibrating.leave_out import (
    HeadTeaching,
    hold_out,
    rounds_by_likeness,
    rounds_of_single_videos,
)
from orbit_lite.personal.decision.calibration import UNCALIBRATED
from orbit_lite.personal.decision.confidence import confidences, fit_temperature
from orbit_lite.personal.decision.familiarity import Familiarity, weights_by_video
from orbit_lite.personal.decision.rejection import CURVE_AIMS, UNTESTED, HeldOutFamiliarity, cross_fitted_refusals
from orbit_lite.personal.recognizer import SupportSet, TaughtVideo
from orbit_lite.personal.teaching.material import UserVideos
from orbit_lite.personal.teaching.teach import teach
from tests.orbit_lite.personal.simulated_users import World, recognizer_of

HEAD = RidgeHead(penalty=0.3)
EMBEDDED = {"model": {"learner": "ridge", "backbone": "efficientnet_lite0", "weights": "pretrained"}}


def with_head(head) -> Recognizer:
    """A recognizer of any features, with a head whose hyperparameters are not chosen."""
    return Recognizer(extractor=recognizer_of().extractor, head=head)


def uneven(support: SupportSet, seed: int = 0) -> SupportSet:
    """The set with videos of two to four frames."""
    rng = np.random.default_rng(seed)
    counts = [int(rng.integers(2, 5)) for _ in support.videos]
    return SupportSet.of(
        (replace(video, frames=video.frames[:count]), features[:count])
        for count, (video, features) in zip(counts, support.parts(), strict=True)
    )


def with_videos(support: SupportSet, *counts: int) -> SupportSet:
    """The set with `count` videos of each object."""
    seen: dict[str, int] = {}
    kept = []
    for video, features in support.parts():
        seen[video.object] = seen.get(video.object, 0) + 1
        if seen[video.object] <= counts[support.objects.index(video.object)]:
            kept.append((video, features))
    return SupportSet.of(kept)


def held_out(support, rounds, head=HEAD):
    return hold_out(HeadTeaching(head, support), rounds)


def familiarity(found):
    of_known = Familiarity.of_held_out(found.logits.max(axis=1), found.cosine)
    return of_known, HeldOutFamiliarity(of_known(found.logits.max(axis=1), found.cosine), found.video)


@pytest.fixture(scope="module")
def support() -> SupportSet:
    """Five objects, in three places, videos of two to four frames."""
    return uneven(World(objects=5, apart=0.6).user(0).support)


@pytest.fixture(scope="module")
def found(support):
    return calibrate(with_head(HEAD), support, origin={})


class TestParts:
    """Each part, compared with a computation here from videos held out by likeness, with one to four frames per
    video."""

    def test_temperature_uses_videos_held_out_by_likeness_with_equal_weights(self, support, found):
        held = held_out(support, rounds_by_likeness(support.videos, support.features))
        assert found.temperature == fit_temperature(held.logits, held.label, weights_by_video(held.video))
        assert found.temperature != fit_temperature(held.logits, held.label, np.ones(len(held.frame)))

    def test_familiarity_and_thresholds(self, support, found):
        held = held_out(support, rounds_by_likeness(support.videos, support.features))
        of_known, known = familiarity(held)
        curve = found.rejection.curve
        assert found.familiarity == of_known
        assert tuple(point.aim for point in curve) == CURVE_AIMS
        assert [point.threshold for point in curve] == known.thresholds(CURVE_AIMS).tolist()
        assert [point.sure_threshold for point in curve] == known.sure_thresholds(CURVE_AIMS).tolist()
        assert (found.rejection.videos, found.rejection.frames) == (30, len(support.features))

    def test_misses_use_thresholds_set_without_the_video_with_equal_weights(self, support, found):
        _, known = familiarity(held_out(support, rounds_by_likeness(support.videos, support.features)))
        refused = cross_fitted_refusals(known, CURVE_AIMS)
        per_video = [refused[known.videos == number].mean(axis=0) for number in range(30)]
        misses = [point.misses for point in found.rejection.curve]
        assert misses == pytest.approx(np.mean(per_video, axis=0))
        assert np.abs(np.mean(refused, axis=0) - misses).max() > 1e-3  # and not each frame

    def test_the_estimate(self, support, found):
        held = held_out(support, rounds_by_likeness(support.videos, support.features))
        singles = held_out(support, rounds_of_single_videos(support.videos))
        result = found.estimate
        assert result == estimate(held, singles, support.videos)
        assert result.accuracy == held.right.mean() < result.same_place == singles.right.mean()
        assert result.low == wilson_interval(30 * held.right.mean(), 30)[0]
        assert result.high == wilson_interval(30 * singles.right.mean(), 30)[1]
        assert (result.chance, result.videos, result.frames, result.pairs) == (0.2, 30, len(support.features), False)

    def test_each_rounds_calibration_error_uses_the_other_rounds_temperature(self, support, found):
        held = held_out(support, rounds_by_likeness(support.videos, support.features))
        weights = weights_by_video(held.video)

        def error(same: bool) -> float:
            sure = np.zeros(len(held.frame))
            for number in (0, 1):
                own = held.round == number
                fit = own if same else ~own
                temperature = fit_temperature(held.logits[fit], held.label[fit], weights[fit])
                sure[own] = confidences(held.logits[own], temperature).max(axis=1)
            return expected_calibration_error(sure, held.right)

        assert found.estimate.ece == pytest.approx(error(same=False)) != pytest.approx(error(same=True))

    def test_false_alarms_are_frames_of_a_left_out_object_that_get_another_name(self, support, found):
        """The thresholds are those of a recognizer of the others; each video of the left-out object weighs the same."""
        passed, areas = [], []
        for name in support.objects:
            others, own = support.without([name]), support.only([name])
            alone = calibrate(with_head(HEAD), others, origin={})
            head = HEAD.fit(others.features, others.labels, way=4, videos=others.video_numbers)
            logits = head.logits(own.features).double().numpy()
            near = torch.nn.functional.cosine_similarity(own.features[:, None], others.means()[None], dim=2).amax(dim=1)
            values = alone.familiarity(logits.max(axis=1), near.double().numpy())
            thresholds = np.array([point.threshold for point in alone.rejection.curve])
            above = values[:, None] >= thresholds
            numbers = own.video_numbers.numpy()
            passed.append(np.mean([above[numbers == number].mean(axis=0) for number in np.unique(numbers)], axis=0))
            areas.append(self.area(support, name, alone.familiarity))
        result = [point.false_alarms for point in found.rejection.curve]
        assert result == pytest.approx(np.maximum(np.mean(passed, axis=0), 1 / 6), abs=1e-6)
        assert result == sorted(result, reverse=True) and result[0] - result[-1] > 0.3
        assert found.rejection.auroc == pytest.approx(np.mean(areas), abs=1e-6)

    @staticmethod
    def area(support, name, of_known):
        """Mean over both rounds of the share of pairs of a held-out frame of the others and one of the left-out object
        in which the latter is less familiar to the recognizer taught with the round's other videos."""
        rounds = rounds_by_likeness(support.videos, support.features)
        areas = []
        for held in rounds:
            out = torch.isin(support.video_numbers, torch.tensor(held))
            strange = support.labels == support.objects.index(name)
            taught = ~out & ~strange
            labels = support.labels[taught].unique(return_inverse=True)[1]
            videos = support.video_numbers[taught]
            head = HEAD.fit(support.features[taught], labels, way=4, videos=videos)
            units = torch.nn.functional.normalize(support.features[taught], dim=1)
            means = torch.stack(
                [
                    torch.stack([units[videos == number].mean(dim=0) for number in videos[labels == k].unique()]).mean(
                        0
                    )
                    for k in range(4)
                ]
            )

            def values(mask, head=head, means=means):
                queries = support.features[mask]
                near = torch.nn.functional.cosine_similarity(queries[:, None], means[None], dim=2).amax(dim=1)
                return of_known(head.logits(queries).double().numpy().max(axis=1), near.double().numpy())

            known, other = values(out & ~strange)[:, None], values(out & strange)
            areas.append(((known > other) + (known == other) / 2).mean())
        return np.mean(areas)

    def test_false_alarms_are_not_below_what_so_few_objects_can_show(self):
        apart = calibrate(with_head(HEAD), World(objects=4, apart=5).user(0).support, origin={})
        assert {point.false_alarms for point in apart.rejection.curve} == {1 / 5}
        assert apart.rejection.auroc == 1.0


@dataclass(eq=False)
class Fit:
    """The frames that taught a classifier, and those it judged, by their content."""

    way: int
    weight: Tensor
    taught: set[bytes]
    judged: set[bytes] = field(default_factory=set)


@dataclass(frozen=True, eq=False)
class WatchedClassifier:
    """A classifier that records what it judges."""

    inner: RidgeClassifier
    fit: Fit

    def logits(self, queries: Tensor) -> Tensor:
        self.fit.judged |= set(contents(queries))
        return self.inner.logits(queries)


class WatchedHead:
    """A head that keeps a list of its fits."""

    def __init__(self) -> None:
        self.fits: list[Fit] = []

    def fit(self, features: Tensor, labels: Tensor, *, way: int, videos: Tensor | None = None) -> WatchedClassifier:
        inner = HEAD.fit(features, labels, way=way, videos=videos)
        self.fits.append(Fit(way, inner.weight, set(contents(features))))
        return WatchedClassifier(inner, self.fits[-1])


def contents(features: Tensor) -> Iterator[bytes]:
    return (row.numpy().tobytes() for row in features)


def watched(support: SupportSet) -> list[Fit]:
    head = WatchedHead()
    calibrate(with_head(head), support, origin={})
    return head.fits


def missing(support: SupportSet, fit: Fit) -> tuple[str, ...]:
    """Objects without a teaching frame."""
    return tuple(name for name in support.objects if not fit.taught & set(contents(support.only([name]).features)))


class TestLeftOut:
    @pytest.mark.parametrize("counts", [(6, 6, 6, 6), (2, 2, 2, 2), (3, 1, 6, 2), (2, 1, 1, 1)])
    def test_no_recognizer_judges_frames_that_taught_it(self, counts):
        support = uneven(with_videos(World(objects=4).user(1).support, *counts))
        fits = watched(support)
        assert fits and all(fit.judged and not fit.judged & fit.taught for fit in fits)

    def test_each_left_out_object_is_judged_by_recognizers_of_all_others_and_of_each_round(self):
        support = World(objects=4).user(1).support
        fits = watched(support)
        for name in support.objects:
            own, others = (set(contents(s.features)) for s in (support.only([name]), support.without([name])))
            of_name = [fit for fit in fits if missing(support, fit) == (name,)]
            assert [fit.way for fit in of_name] == [3, 3, 3]
            *rounds, whole = of_name
            assert whole.taught == others and whole.judged == own
            assert all(fit.taught < others and fit.judged & own and fit.judged & others for fit in rounds)
            assert set.union(*(fit.judged for fit in rounds)) == own | others
        assert sum(fit.way == 4 for fit in fits) == 2 + 6  # two by likeness, six videos one at a time

    def test_a_left_out_object_does_not_change_the_recognizers_that_judge_it(self):
        support = World(objects=4).user(1).support
        features = support.features.clone()
        features[support.labels == 2] = torch.randn(24, 32, generator=torch.Generator().manual_seed(0))
        before, after = (
            [fit for fit in watched(each) if missing(each, fit) == ("thing 02",)]
            for each in (support, SupportSet(support.videos, features))
        )
        for ours, theirs in zip(before, after, strict=True):
            assert torch.equal(ours.weight, theirs.weight) and ours.judged != theirs.judged

    def test_sixteen_of_many_objects_are_left_out_evenly(self):
        support = World(objects=20, places=2, videos=1, frames=2).user(0).support
        left_out = {missing(support, fit) for fit in watched(support) if fit.way == 19}
        assert len(left_out) == MOST_LEFT_OUT == 16
        assert {(support.objects[0],), (support.objects[-1],)} <= left_out

    def test_the_chosen_hyperparameter_is_kept_fixed(self):
        """The penalty is chosen with all videos, also when some are held out: the ridge head gives the same calibration
        as a head with that fixed penalty."""
        recognizer, support = recognizer_of(), World(objects=4).user(1).support
        settled = HeadTeaching.settled(recognizer, support).head
        assert calibrate(recognizer, support, origin={}) == calibrate(with_head(settled), support, origin={})


class TestFewVideos:
    def test_a_single_object_is_not_calibrated(self):
        assert calibrate(with_head(HEAD), World(objects=1).user(0).support, origin={}) == UNCALIBRATED

    def test_with_one_video_of_each_object_every_answer_is_a_maybe(self):
        support = with_videos(World().user(0).support, *[1] * 6)
        assert calibrate(with_head(HEAD), support, origin={}) == UNCALIBRATED
        assert calibrate(with_head(HEAD), support, origin=EMBEDDED).rejection.point.threshold == 0.525

    def test_the_lowest_cosine_is_used_only_for_its_backbone_without_adaptation(self):
        support = with_videos(World().user(0).support, *[1] * 6)
        other = {"model": EMBEDDED["model"] | {"weights": "random"}}
        assert calibrate(with_head(HEAD), support, origin=other).rejection.point == UNTESTED
        adapting = build_recognizer("finetuner_film", "tiny", weights="random", frame_size_px=32)
        assert calibrate(adapting, support, origin=EMBEDDED).rejection.point == UNTESTED

    def test_two_objects_have_a_threshold_and_none_is_left_out(self):
        support = World(objects=2).user(0).support
        found = calibrate(with_head(HEAD), support, origin={})
        assert found.rejection.auroc is None and found.rejection.least_false_alarms is None
        point = found.rejection.point
        assert point.threshold is not None and point.misses is not None and point.false_alarms is None
        assert found.estimate.chance == 0.5 and found.estimate.videos == 12

    def test_an_object_with_a_single_video_always_teaches_and_is_also_left_out(self):
        support = with_videos(World(objects=4).user(0).support, 6, 1, 6, 6)
        found = calibrate(with_head(HEAD), support, origin={})
        assert found.estimate.videos == found.rejection.videos == 18
        only = {name for fit in watched(support) for name in missing(support, fit) if fit.way == 3}
        assert only == set(support.objects)
        assert not [fit for fit in watched(support) if fit.way == 4 and missing(support, fit)]

    def test_the_only_object_with_two_videos_is_not_left_out(self):
        """Without it, no video of the others can be held out, so no threshold could be set."""
        support = with_videos(World(objects=4).user(0).support, 2, 1, 1, 1)
        found = calibrate(with_head(HEAD), support, origin={})
        assert found.estimate.pairs and found.estimate.videos == 2
        assert {missing(support, fit) for fit in watched(support) if fit.way == 3} == {
            (name,) for name in support.objects[1:]
        }
        assert found.rejection.point.false_alarms is not None and 0 <= found.rejection.auroc <= 1

    def test_pairs_are_held_out_the_same_in_both_ways(self):
        user = World(objects=4, apart=0.5, own=0.0, drift=0.8).user(0)
        support = with_videos(user.support, 2, 2, 1, 2)
        found = calibrate(with_head(HEAD), support, origin={}).estimate
        assert found.pairs and found.accuracy == found.same_place < 1
        three = with_videos(user.support, 2, 2, 1, 3)
        assert not calibrate(with_head(HEAD), three, origin={}).estimate.pairs

    def test_order_of_videos_changes_nothing(self, support, found):
        parts = support.parts()
        for seed in range(3):
            order = np.random.default_rng(seed).permutation(len(parts))
            again = calibrate(with_head(HEAD), SupportSet.of([parts[k] for k in order]), origin={})
            assert again.temperature == pytest.approx(found.temperature, rel=1e-4)
            assert again.estimate.accuracy == found.estimate.accuracy
            assert again.rejection.auroc == pytest.approx(found.rejection.auroc, abs=1e-3)
            for ours, theirs in zip(again.rejection.curve, found.rejection.curve, strict=True):
                assert ours.threshold == pytest.approx(theirs.threshold, abs=1e-3)
                assert ours.false_alarms == pytest.approx(theirs.false_alarms, abs=0.02)


@pytest.mark.parametrize(
    "learner",
    [
        load_learner("finetuner_film").model_copy(update={"steps": 2}),
        LearnerConfig(name="g", head="mahalanobis", adapter="generator", extractor="frozen"),
        load_learner("protonets"),
    ],
    ids=["steps", "generator", "none"],
)
def test_every_kind_of_learner_is_calibrated_on_the_features_it_uses(learner):
    """32 px, random weights; three objects of different colors, three videos each."""
    recognizer = build_recognizer(learner, "tiny", weights="random", seed=1, frame_size_px=32)
    generator = torch.Generator().manual_seed(0)
    videos, images = [], []
    for number in range(9):
        frames = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8, generator=generator)
        frames[:, number // 3] //= 4
        videos.append(TaughtVideo(f"thing {number // 3}", 90, (1, 31, 61), str(number)))
        images.append(frames)
    tensors = [recognizer.embed(frames) for frames in images] if recognizer.shares_features else images
    personal = teach(recognizer, UserVideos("alice", tuple(videos), tuple(tensors), (), (), 0), origin={})
    found = personal.calibration
    assert found.estimate.videos == found.rejection.videos == 9 and found.estimate.frames == 27
    assert 0 <= found.estimate.low <= found.estimate.accuracy <= found.estimate.high <= 1
    assert np.isfinite([found.temperature, found.rejection.point.threshold, found.rejection.auroc]).all()
    support = SupportSet(personal.support.videos, personal.fitted.embed(torch.cat(images)).cpu())
    assert torch.equal(support.features, personal.support.features)
    head = HeadTeaching.settled(recognizer, support)
    held = hold_out(head, rounds_by_likeness(support.videos, support.features))
    assert found.estimate.accuracy == held.right.mean()


def test_prototypes_are_calibrated_too(support):
    found = calibrate(with_head(PrototypeHead), support, origin={})
    assert found.rejection.curve and 0.5 < found.rejection.auroc <= 1
