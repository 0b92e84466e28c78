"""Which classes an episode has and how many images of each, by the classes' sizes and a generator alone."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orbit_lite.episode_plan import FixedEpisodes, RandomEpisodes

Numbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class EpisodeSizes:
    """The size of one episode.

    classes: places among the source's classes, rising, (way,). support: images of each, 1 or more, (way,). query:
    images of each class, the same number for all.
    """

    classes: Numbers
    support: Numbers
    query: int


def draw_sizes(plan: FixedEpisodes | RandomEpisodes, counts: Numbers, rng: np.random.Generator) -> EpisodeSizes:
    """Draw one episode's classes and sizes.

    Args:
        plan: of which kind.
        counts: images of each class of the source, at least `least_images(plan)`, (classes,).
        rng: what is drawn from.
    """
    if isinstance(plan, FixedEpisodes):
        classes = _classes(len(counts), plan.way, rng)
        return EpisodeSizes(classes, np.full(plan.way, plan.shot), plan.query)
    return random_sizes(plan, counts, rng)


def least_images(plan: FixedEpisodes | RandomEpisodes) -> int:
    """How many images a class must have to be in an episode."""
    return plan.shot + plan.query if isinstance(plan, FixedEpisodes) else 2


def least_classes(plan: FixedEpisodes | RandomEpisodes) -> int:
    """How many classes a source must have."""
    return plan.way if isinstance(plan, FixedEpisodes) else plan.least_way


def random_sizes(plan: RandomEpisodes, counts: Numbers, rng: np.random.Generator) -> EpisodeSizes:
    """Way, query and support sizes as Meta-Dataset draws them, with n_c images of class c:

    way ~ U{5 .. min(50, classes)}, the classes uniform; query q = min(10, min_c floor(n_c / 2)) of every class; support
    size s = min(500, sum_c ceil(b min(100, n_c - q))), b ~ U(0, 1]; shares R_c proportional to exp(a_c) n_c, a_c ~
    U[log 0.5, log 2); support of class c min(floor(R_c (s - way)) + 1, n_c - q).

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
