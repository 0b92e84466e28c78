import math
import random

import numpy as np
import pytest
from scipy.stats import ks_2samp

from orbit_lite.config import load_protocol
from orbit_lite.data.episode_sizes import draw_sizes, least_classes, least_images
from orbit_lite.episode_plan import RandomEpisodes

DRAWS = 10_000
SIZES = [20 + 7 * place % 400 for place in range(70)] + [2, 3, 5, 9, 1300, 1300]


def plain_sizes(counts: list[int], rng: random.Random) -> tuple[list[int], list[int], int]:
    """The paper's formulas in plain Python: classes, and the support and query size of each.

    Source: Triantafillou et al. 2020, section 3.1 and appendix A (arXiv 1903.03096).
    """
    way = rng.randint(5, min(50, len(counts)))
    classes = rng.sample(range(len(counts)), way)
    query = min([10] + [counts[c] // 2 for c in classes])
    beta = 1 - rng.random()
    size = min(500, sum(math.ceil(beta * min(100, counts[c] - query)) for c in classes))
    share = {c: math.exp(rng.uniform(math.log(0.5), math.log(2))) * counts[c] for c in classes}
    whole = sum(share.values())
    support = [min(int(share[c] / whole * (size - way)) + 1, counts[c] - query) for c in classes]
    return classes, support, query


@pytest.fixture(scope="module")
def drawn() -> list[tuple[list[int], list[int], int]]:
    plan, counts, rng = load_protocol("meta-dataset"), np.array(SIZES), np.random.default_rng(5)
    found = (draw_sizes(plan, counts, rng) for _ in range(DRAWS))
    return [(sizes.classes.tolist(), sizes.support.tolist(), sizes.query) for sizes in found]


@pytest.fixture(scope="module")
def plain() -> list[tuple[list[int], list[int], int]]:
    rng = random.Random(7)
    return [plain_sizes(SIZES, rng) for _ in range(DRAWS)]


def largest_share(task: tuple[list[int], list[int], int]) -> float:
    return max(task[1]) / sum(task[1])


def share_of_largest_class(task: tuple[list[int], list[int], int]) -> float:
    place = max(range(len(task[0])), key=lambda at: (SIZES[task[0][at]], task[0][at]))
    return task[1][place] / sum(task[1])


@pytest.mark.parametrize(
    "of",
    [
        lambda task: len(task[0]),
        lambda task: sum(task[1]),
        lambda task: task[2],
        lambda task: min(task[1]),
        largest_share,
        share_of_largest_class,
        lambda task: sum(task[0]) / len(task[0]),
    ],
    ids=["way", "support size", "query", "least shot", "largest share", "share of the largest class", "classes"],
)
def test_the_distribution_is_that_of_the_formulas(drawn, plain, of):
    """Two samples of 10,000 tasks with fixed seeds. At this bound, equal distributions fail once in 10,000 trials; a
    way of 4 to 50, alpha from U[log 1/3, log 3] or b from U[0, 0.9] are detected."""
    assert ks_2samp([of(task) for task in drawn], [of(task) for task in plain]).pvalue > 1e-4


def test_every_way_comes_as_often(drawn):
    ways = np.bincount([len(classes) for classes, _, _ in drawn], minlength=51)[5:]
    assert len(ways) == 46 and abs(ways - DRAWS / 46).max() < 5 * math.sqrt(DRAWS / 46)


def test_every_class_comes_as_often(drawn):
    times = np.bincount([c for classes, _, _ in drawn for c in classes], minlength=len(SIZES))
    mean = times.mean()  # 27.5 of 76 classes in 10,000 tasks: about 3,618 ± 50
    assert abs(times - mean).max() < 5 * 50


def test_no_task_asks_for_more_than_there_is(drawn):
    for classes, support, query in drawn:
        assert classes == sorted(set(classes)) and 5 <= len(classes) <= 50
        assert all(1 <= shot <= SIZES[c] - query for c, shot in zip(classes, support, strict=True))
        assert 1 <= query <= 10 and sum(support) <= 500


def test_equal_classes_share_a_support_set_that_is_cut_at_its_bound():
    """Two hundred classes of 1,000 images: s is 500 or set by b alone, shares are set by alpha alone."""
    plan = RandomEpisodes(name="x", episodes="random", tasks=1, least_way=50, most_way=50)
    rng = np.random.default_rng(0)
    sizes = [draw_sizes(plan, np.full(200, 1000), rng) for _ in range(2000)]
    totals = np.array([size.support.sum() for size in sizes])
    # s = min(500, 50 ceil(100 b)) is 500 for b > 0.09; then 450 are divided, rounded down, and 1 is added for each of
    # 50
    assert abs((totals > 450).mean() - 0.91) < 0.03 and totals.max() <= 500
    full = np.concatenate([size.support[None] for size in sizes if size.support.sum() > 450])
    ratio = full.max() / full.min()
    assert 3 < ratio <= 5  # exp(alpha) is from 0.5 to 2, so the ratio is 4, plus rounding


def test_fixed_episodes_have_the_numbers_of_their_name():
    plan = load_protocol("episodes-5w5s", ["way=7", "shot=2", "query=3"])
    sizes = draw_sizes(plan, np.full(20, 5), np.random.default_rng(0))
    assert (len(set(sizes.classes.tolist())), sizes.support.tolist(), sizes.query) == (7, [2] * 7, 3)
    assert (least_images(plan), least_classes(plan)) == (5, 7)


@pytest.mark.parametrize(("name", "images", "classes"), [("episodes-5w1s", 16, 5), ("meta-dataset", 2, 5)])
def test_requirements_of_a_source(name, images, classes):
    plan = load_protocol(name)
    assert (least_images(plan), least_classes(plan)) == (images, classes)


def test_classes_of_two_images_have_one_support_and_one_query_image():
    plan = load_protocol("meta-dataset")
    sizes = draw_sizes(plan, np.full(5, 2), np.random.default_rng(3))
    assert (sizes.support.tolist(), sizes.query) == ([1] * 5, 1)
