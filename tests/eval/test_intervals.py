import math

import numpy as np
import pytest

from eval.intervals import bootstrap_of_totals, bootstrap_over_users, protocol_interval, wilson_interval


def test_protocol_interval_is_the_published_formula():
    interval = protocol_interval([0.2, 0.4, 0.9])
    # mean 0.5, squares 0.09 + 0.01 + 0.16 = 0.26, divided by n = 3, not by 2
    assert interval.half_width == pytest.approx(1.96 * math.sqrt(0.26 / 3) / math.sqrt(3))
    assert (interval.n, interval.unit) == (3, "videos")
    assert protocol_interval([0.7]).half_width == 0


def test_protocol_interval_is_the_published_formula_for_any_values():
    rng = np.random.default_rng(0)
    for _ in range(1000):
        values = rng.random(rng.integers(1, 40)).tolist()
        mean = sum(values) / len(values)
        deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))
        assert protocol_interval(values).half_width == pytest.approx(
            1.96 * deviation / math.sqrt(len(values)), abs=1e-12
        )


def brute_bootstrap(values, users, *, seed, draws):
    """The same thing by hand: draw users, pool all their values."""
    rng = np.random.default_rng(seed)
    by_user = {user: values[users == user] for user in np.unique(users)}
    names = list(by_user)
    means = [
        np.concatenate([by_user[names[i]] for i in rng.integers(len(names), size=len(names))]).mean()
        for _ in range(draws)
    ]
    return np.quantile(means, [0.025, 0.975])


def test_bootstrap_agrees_with_pooling_the_drawn_users_values():
    rng = np.random.default_rng(0)
    users = np.repeat([f"P{i}" for i in range(9)], rng.integers(1, 30, size=9))
    values = rng.random(len(users)) * 0.3 + np.array([int(user[1:]) for user in users]) / 15
    interval = bootstrap_over_users(values, users, seed=1, draws=20_000)
    # two draws of 20,000 differ by less than 1 % of a width of 0.3
    assert [interval.low, interval.high] == pytest.approx(
        brute_bootstrap(values, users, seed=2, draws=20_000), abs=0.01
    )
    assert (interval.n, interval.unit, interval.draws, interval.seed) == (9, "users", 20_000, 1)


def test_bootstrap_of_totals_is_the_same_bootstrap():
    rng = np.random.default_rng(1)
    users = np.repeat(np.arange(6), rng.integers(1, 30, size=6))
    right = rng.random(len(users)) < 0.1 + users / 10
    sums, counts = np.bincount(users, weights=right), np.bincount(users)
    expected = bootstrap_over_users(right, users.astype(str), seed=3)
    totals = bootstrap_of_totals(sums, counts, seed=3)
    assert [totals.low, totals.high] == pytest.approx([expected.low, expected.high], abs=1e-12)
    assert (totals.n, totals.unit, totals.draws, totals.seed) == (6, "users", expected.draws, 3)
    for wrong in ([1, 2], [1, 1, 0]):
        with pytest.raises(ValueError, match="1 or more for each of 3 users"):
            bootstrap_of_totals([1, 0, 1], wrong, seed=0)


def test_bootstrap_covers_where_the_protocols_interval_does_not():
    """24 users who differ, 10 videos each in 20 tasks: the truth should be inside about 95 times of 100."""
    rng = np.random.default_rng(3)
    trials, covered, protocol_covered = 400, 0, 0
    for trial in range(trials):
        of_user = rng.normal(0.6, 0.12, size=24)
        of_video = rng.normal(of_user[:, None], 0.1, size=(24, 10))
        values = np.repeat(of_video.ravel(), 20)  # the same videos in each task
        users = np.repeat(np.arange(24).astype(str), 200)
        interval = bootstrap_over_users(values, users, seed=trial, draws=1000)
        covered += interval.low <= 0.6 <= interval.high
        protocol_covered += abs(values.mean() - 0.6) <= protocol_interval(values).half_width
    # 95 % less what the percentile interval loses with 24 users (about 2 points), 3 standard errors of 400 trials
    assert 0.89 <= covered / trials <= 0.98
    assert protocol_covered / trials < 0.4


def test_bootstrap_depends_on_the_seed_and_not_on_order():
    rng = np.random.default_rng(5)
    users = np.repeat(["b", "a", "c"], [3, 5, 2])
    values = rng.random(10)
    order = rng.permutation(10)
    first = bootstrap_over_users(values, users, seed=1)
    again = bootstrap_over_users(values[order], users[order], seed=1)
    assert (again.low, again.high) == pytest.approx((first.low, first.high), abs=1e-12)
    assert bootstrap_over_users(values, users, seed=2) != first


def test_one_user_tells_nothing():
    interval = bootstrap_over_users([0.2, 0.4], ["a", "a"], seed=0)
    assert interval.low == interval.high == pytest.approx(0.3)
    assert interval.n == 1


def test_no_values_or_not_one_user_each_is_refused():
    with pytest.raises(ValueError, match="at least one value"):
        protocol_interval([])
    with pytest.raises(ValueError, match="at least one value"):
        bootstrap_over_users([], [], seed=0)
    with pytest.raises(ValueError, match="one user for each value"):
        bootstrap_over_users([0.1, 0.2], ["a"], seed=0)


def test_wilson_interval_is_the_formula():
    z = 1.959963984540054  # the normal distribution's 97.5 % point
    for n in (1, 2, 5, 40):
        for successes in range(n + 1):
            p = successes / n
            centre, half = p + z**2 / (2 * n), z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
            expected = [(centre - half) / (1 + z**2 / n), (centre + half) / (1 + z**2 / n)]
            assert wilson_interval(successes, n) == pytest.approx(expected, abs=1e-12)


def test_wilson_interval_of_few_is_never_certain():
    assert wilson_interval(2, 2)[0] < 0.4 and wilson_interval(0, 2)[1] > 0.6
    for wrong in ((3, 2), (0, 0), (-1, 2)):
        with pytest.raises(ValueError):
            wilson_interval(*wrong)
