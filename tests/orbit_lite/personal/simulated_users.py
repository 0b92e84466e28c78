"""Simulated users with known truth: the effects of places, videos and frames on an object's features are drawn, also
for places where nothing was filmed."""

import hashlib
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from orbit_lite.models.recognizer import Recognizer, build_recognizer
from orbit_lite.personal.calibrating.calibrate import calibrate
from orbit_lite.personal.recognizer import FrameScores, PersonalRecognizer, SupportSet, TaughtVideo


@dataclass(frozen=True)
class User:
    """support: the support set. queries: features of frames filmed in new places, (m, width). labels: theirs, (m,)."""

    support: SupportSet
    queries: Tensor
    labels: NDArray[np.int64]

    def queries_of(self, name: str) -> Tensor:
        """The queries of one object."""
        return self.queries[torch.from_numpy(self.labels == self.support.objects.index(name))]


@dataclass(frozen=True)
class World:
    """How users film; effects are standard deviations per feature.

    objects: number of objects, which differ by `apart`. places: number of places where each object is filmed, `videos`
    times in each. shared: a place's effect on all objects. own: a place's effect on one object. drift: a video's
    effect.
    noise: a frame's effect. new_places: number of places of the queries.
    """

    objects: int = 6
    places: int = 3
    videos: int = 2
    frames: int = 4
    width: int = 32
    apart: float = 1.0
    shared: float = 0.5
    own: float = 0.5
    drift: float = 0.25
    noise: float = 0.5
    new_places: int = 3

    def user(self, seed: int) -> User:
        """One user, always the same for a seed."""
        rng = np.random.default_rng([1991, seed])
        places = self.places + self.new_places
        centers = self.apart * rng.normal(size=(self.objects, 1, self.width))
        of_place = self.shared * rng.normal(size=(places, self.width))
        scenes = centers + of_place + self.own * rng.normal(size=(self.objects, places, self.width))
        taught, queries = [], []
        for thing, place, number in np.ndindex(self.objects, places, self.videos):
            drift = self.drift * rng.normal(size=self.width)
            features = torch.tensor(
                scenes[thing, place] + drift + self.noise * rng.normal(size=(self.frames, self.width)),
                dtype=torch.float32,
            )
            if place < self.places:
                taught.append((video(f"thing {thing:02d}", self.frames, seed, thing, place, number), features))
            else:
                queries.append(features)
        labels = np.repeat(np.arange(self.objects), self.new_places * self.videos * self.frames)
        return User(SupportSet.of(taught), torch.cat(queries), labels)

    def users(self, count: int) -> list[User]:
        """The first `count` users."""
        return [self.user(seed) for seed in range(count)]


def video(name: str, frames: int, *key: int) -> TaughtVideo:
    """A video of an object with this many frames; its digest is drawn from the key."""
    digest = hashlib.sha256(repr((name, *key)).encode()).hexdigest()
    return TaughtVideo(name, frames, tuple(range(1, frames + 1)), digest)


@cache
def recognizer_of(learner: str = "ridge") -> Recognizer:
    """A recognizer whose head takes features of any width."""
    return build_recognizer(learner, "tiny", weights="random", frame_size_px=32)


def taught(support: SupportSet, learner: str = "ridge") -> PersonalRecognizer:
    """A calibrated recognizer of a support set."""
    recognizer = recognizer_of(learner)
    fitted = recognizer.personalize_from_features(
        support.features, support.labels, support.video_numbers, way=support.way
    )
    return PersonalRecognizer(fitted, "a user", support, calibrate(recognizer, support, origin={}))


def refused(personal: PersonalRecognizer, scores: FrameScores) -> NDArray[np.bool_]:
    """Which frames the point in use answers with none of these, (m,)."""
    threshold = personal.rejection.point.threshold
    return scores.familiarity < (-np.inf if threshold is None else threshold)
