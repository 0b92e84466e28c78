"""Draws an episode's classes and the number of images of each, given only the class sizes and a random generator."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orbit_lite.episode_plan import FixedEpisodes, RandomEpisodes

Numbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class EpisodeSizes:
    """The size of one episode.

    classes: indices into the source's classes, ascending, (way,).
    support: support images of each class, at least 1, (way,).
    query: query images per class, the same for all classes.
    """

    classes: Numbers
    support: Numbers
    query: int


def draw_sizes(plan: FixedEpisodes | RandomEpisodes, counts: Numbers, rng: np.random.Generator) -> EpisodeSizes:
    """Draw one episode's classes and sizes.

    Args:
        plan: the kind of episode.
        counts: images of each class of the source, each at least `least_images(plan)`, (classes,).
        rng: the generator to draw with.
    """
    if isinstance(plan, FixedEpisodes):
        classes = _classes(len(counts), plan.way, rng)
        return EpisodeSizes(classes, np.full(plan.way, plan.shot), plan.query)
    return random_sizes(plan, counts, rng)


def least_images(plan: FixedEpisodes | RandomEpisodes) -> int:
    """The fewest images that a class in an episode can have."""
    return plan.shot + plan.query if isinstance(plan, FixedEpisodes) else 2


def least_classes(plan: FixedEpisodes | RandomEpisodes) -> int:
    """The fewest classes that a source can have."""
    return plan.way if isinstance(plan, FixedEpisodes) else plan.least_way


def random_sizes(plan: RandomEpisodes, counts: Numbers, rng: np.random.Generator) -> EpisodeSizes:
    """Draw way, query size and support sizes like Meta-Dataset. Class c has n_c images.

    way ~ U{5 .. min(50, classes)}, then classes uniformly; query size of each class q = min(10, min_c floor(n_c / 2));
    support size s = min(500, sum_c ceil(b min(100, n_c - q))), b ~ U(0, 1]; class shares R_c proportional to exp(a_c)
    n_c, a_c ~ U[log 0.5, log 2); support size of class c = min(floor(R_c (s - way)) + 1, n_c - q).

    Source: Triantafillou et al. 2020, section 3.1 and appendix (arXiv 1903.03096).
    """
    way = int(rng.integers(plan.least_way, min(plan.most_way, len(counts)), endpoint=True))
    classes = _classes(len(counts), way, rng)
    n = counts[classes]
    query = min(plan.most_query, int(n.min()) // 2)
    left = n - query
    share = 1.0 - rng.random()  # random() is in [0, 1)
    size = min(plan.most_support, int(np.ceil(share * np.minimum(plan.most_support_of_class, left)).sum()))
    weights = np.exp(rng.uniform(np.log(0.5), np.log(2.0), way)) * n
    parts = np.floor(weights / weights.sum() * (size - way)).astype(np.int64) + 1
    return EpisodeSizes(classes, np.minimum(parts, left), query)


def _classes(there: int, way: int, rng: np.random.Generator) -> Numbers:
    return np.sort(rng.choice(there, way, replace=False)).astype(np.int64)
