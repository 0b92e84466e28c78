import math

import numpy as np
import pytest

from eval.intervals import (
    LEAST_TASKS,
    bootstrap_of_totals,
    bootstrap_over_tasks,
    bootstrap_over_users,
    protocol_interval,
    too_few_users,
    wilson_interval,
)


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
    """The percentile interval by hand: draw users, pool all their values."""
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
    low, high = brute_bootstrap(values, users, seed=2, draws=20_000)
    factor = 2.3060 / 1.95996 * math.sqrt(9 / 8)  # t of 8 degrees of freedom, from a table
    expected = [values.mean() - factor * (values.mean() - low), values.mean() + factor * (high - values.mean())]
    half = 2.3060 * jackknife_error(values, users)
    expected = [min(expected[0], values.mean() - half), max(expected[1], values.mean() + half)]
    # two draws of 20,000 differ by less than 1 % of a width of 0.3
    assert [interval.low, interval.high] == pytest.approx(expected, abs=0.01)
    assert (interval.n, interval.unit, interval.draws, interval.seed) == (9, "users", 20_000, 1)
    assert interval.method == "widened"


def jackknife_error(values, users):
    """The standard error of the mean by the jackknife over users."""
    means = np.array([values[users != user].mean() for user in np.unique(users)])
    return math.sqrt((len(means) - 1) / len(means) * ((means - means.mean()) ** 2).sum())


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
        with pytest.raises(ValueError, match="expected at least 1 for each of 3 users"):
            bootstrap_of_totals([1, 0, 1], wrong, seed=0)


def simulated(rng, users, *, unequal):
    """Simulated values of different users with a true mean of 0, and the user of each value."""
    videos = rng.lognormal(2.3, 0.6, users).astype(int) + 3 if unequal else np.full(users, 10)
    of_user = rng.normal(0, 0.06, size=users)
    names = np.repeat(np.arange(users).astype(str), videos)
    return rng.normal(np.repeat(of_user, videos), 0.12), names


def covered(users, *, unequal, trials, draws):
    rng = np.random.default_rng([users, unequal])
    inside = 0
    for trial in range(trials):
        interval = bootstrap_over_users(*simulated(rng, users, unequal=unequal), seed=trial, draws=draws)
        inside += interval.low <= 0 <= interval.high
    return inside / trials


@pytest.mark.parametrize("unequal", [False, True])
@pytest.mark.parametrize("users", [4, 6, 17])
def test_the_interval_holds_the_truth_as_often_as_it_says(users, unequal):
    """So `compare` reports a difference between equal models in about 5 % of cases."""
    trials = 600
    three_errors = 3 * math.sqrt(0.05 * 0.95 / trials)  # 2.7 points
    assert abs(covered(users, unequal=unequal, trials=trials, draws=400) - 0.95) < 0.01 + three_errors


@pytest.mark.long
@pytest.mark.parametrize("unequal", [False, True])
@pytest.mark.parametrize("users", [4, 5, 6, 10, 17, 44, 67])
def test_coverage_is_93_to_97_percent_from_4_to_67_users(users, unequal):
    assert 0.93 < covered(users, unequal=unequal, trials=6000, draws=1000) < 0.97  # standard error 0.3 points


def test_the_protocols_interval_does_not_cover():
    """24 different users, each with 10 videos in 20 tasks: it treats the same videos as independent."""
    rng = np.random.default_rng(3)
    trials, protocol_covered = 200, 0
    for _ in range(trials):
        of_user = rng.normal(0.6, 0.12, size=24)
        of_video = rng.normal(of_user[:, None], 0.1, size=(24, 10))
        values = np.repeat(of_video.ravel(), 20)
        protocol_covered += abs(values.mean() - 0.6) <= protocol_interval(values).half_width
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


@pytest.mark.parametrize("users", [1, 2, 3])
def test_few_users_have_no_interval(users):
    interval = bootstrap_over_users([0.2, 0.4, 0.6, 0.8], [str(i % users) for i in range(4)], seed=0)
    assert (interval.low, interval.high, interval.n) == (None, None, users)
    assert too_few_users(interval) == f"{'one user' if users == 1 else f'{users} users'}; at least 4 are needed"


def test_an_interval_is_cut_at_its_bounds():
    values, users = [1.0, 1.0, 1.0, 0.6], list("abcd")
    free, cut = (bootstrap_over_users(values, users, seed=0, bounds=bounds) for bounds in (None, (0, 1)))
    assert cut.low == max(free.low, 0)
    assert free.high > 1 and cut.high == 1


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [  # the first interval's upper and the second's lower end come from the draws, the others from the jackknife
        ([0.05, 0.1, 0.12, 0.2, 0.3, 0.35, 0.5, 0.9, 0.95, 1.0, 0.4, 0.0], 0.17201962165139376, 0.6565263034842546),
        ([0.9, 0.88, 0.92, 0.95, 0.97, 0.1, 0.9, 0.9, 0.94, 0.99, 0.2, 0.9], 0.5915106625404035, 0.9834896847082919),
    ],
)
def test_the_interval_is_the_one_written_down(values, low, high):
    """Every reported interval depends on the draws, so changing their key, level or order changes it."""
    interval = bootstrap_over_users(values, list("abcdefghijkk"), seed=1991, draws=500)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-9)


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0, 1e9])
def test_values_that_are_all_the_same_have_an_interval_of_no_width(value):
    interval = bootstrap_over_users([value] * 5, list("abbcd"), seed=0)
    totals = bootstrap_of_totals([value, 2 * value, value, value], [1, 2, 1, 1], seed=0)
    assert interval.low == interval.high == totals.low == totals.high == value


def test_no_values_or_not_one_user_each_is_refused():
    with pytest.raises(ValueError, match="at least one value"):
        protocol_interval([])
    with pytest.raises(ValueError, match="at least one value"):
        bootstrap_over_users([], [], seed=0)
    with pytest.raises(ValueError, match="one user per value"):
        bootstrap_over_users([0.1, 0.2], ["a"], seed=0)


def test_wilson_interval_is_the_formula():
    z = 1.959963984540054  # the normal distribution's 97.5 % point
    for n in (1, 2, 5, 40):
        for successes in range(n + 1):
            p = successes / n
            center, half = p + z**2 / (2 * n), z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
            expected = [(center - half) / (1 + z**2 / n), (center + half) / (1 + z**2 / n)]
            assert wilson_interval(successes, n) == pytest.approx(expected, abs=1e-12)


def test_where_all_or_none_succeeded_the_interval_ends_at_exactly_that():
    """Rounding must not put a recognizer that is always right outside its own interval."""
    for n in range(1, 300):
        assert wilson_interval(n, n)[1] == 1.0 and wilson_interval(0, n)[0] == 0.0


def test_wilson_interval_of_few_is_never_certain():
    assert wilson_interval(2, 2)[0] < 0.4 and wilson_interval(0, 2)[1] > 0.6
    for wrong in ((3, 2), (0, 0), (-1, 2)):
        with pytest.raises(ValueError):
            wilson_interval(*wrong)


def test_the_bootstrap_over_tasks_holds_the_mean_of_other_tasks_of_the_same_users():
    """300 simulated sets of two users with different means, 60 tasks each: 95 % would be 285 ± 4."""
    rng = np.random.default_rng(3)
    held = 0
    for seed in range(300):
        values = np.concatenate([rng.normal(0.3, 0.1, 60), rng.normal(0.8, 0.1, 60)])
        interval = bootstrap_over_tasks(values, ["a"] * 60 + ["b"] * 60, seed=seed, draws=400)
        assert interval.low is not None and interval.high is not None
        held += interval.low <= 0.55 <= interval.high
        assert interval.high - interval.low < 0.06  # 4 x 0.1 / sqrt(120): it does not include differences between users
    assert 270 <= held <= 297


def test_the_bootstrap_over_tasks_does_not_depend_on_their_order_and_is_cut_at_its_bounds():
    rng = np.random.default_rng(0)
    values, users = rng.uniform(size=50), ["a", "b"] * 25
    order = rng.permutation(50)
    first = bootstrap_over_tasks(values, users, seed=1)
    assert bootstrap_over_tasks(values[order], [users[at] for at in order], seed=1) == first
    assert (first.n, first.unit, first.method) == (50, "tasks", "percentile")
    assert bootstrap_over_tasks(np.ones(50), users, seed=1, bounds=(0, 1)).high == 1


def test_there_is_no_bootstrap_over_a_few_tasks():
    interval = bootstrap_over_tasks(np.zeros(LEAST_TASKS + 5), ["a"] * (LEAST_TASKS - 1) + ["b"] * 6, seed=0)
    assert interval.low is None and too_few_users(interval) == "at least 20 tasks per user are needed"
    with pytest.raises(ValueError, match="3 values and 2 users"):
        bootstrap_over_tasks([1, 2, 3], ["a", "b"], seed=0)
