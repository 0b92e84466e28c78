"""Intervals for a mean: the protocol's, which treats all videos as independent, and a bootstrap over users."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic.dataclasses import dataclass

from groundwork.randomness import keyed_rng
from groundwork.strict_model import NOTHING_UNKNOWN

BOOTSTRAP_DRAWS = 10_000
LEVEL = 0.95
LEAST_USERS = 4  # with fewer, simulated coverage is below 93 % for every kind of interval
LEAST_TASKS = 20  # per user; with fewer, a percentile interval is too narrow
_NUMBERS_AT_ONCE = 4_000_000  # the most numbers drawn at once, 8 bytes each
_NORMAL_Z = 1.959963984540054  # the normal distribution's 97.5 % point


@dataclass(frozen=True, config=NOTHING_UNKNOWN)
class ProtocolInterval:
    """mean ± half_width, as on the leaderboard: 1.96·std/√n with the population's std."""

    half_width: float
    n: int
    unit: str


@dataclass(frozen=True, config=NOTHING_UNKNOWN)
class BootstrapInterval:
    """95 % interval of the mean over draws of whole users. With `unit` tasks: over draws of each user's tasks.

    Attributes:
        low, high: None below LEAST_USERS users, or where a user has fewer than LEAST_TASKS tasks.
        n: number of users, or of tasks.
        method: `widened` for the number of users (see `bootstrap_over_users`); `percentile` in older files.
    """

    low: float | None
    high: float | None
    n: int
    unit: str
    draws: int
    seed: int
    method: Literal["percentile", "widened"] = "percentile"


def protocol_interval(values: ArrayLike, *, unit: str = "videos") -> ProtocolInterval:
    """The protocol's interval for the mean of `values`: half width 1.96·std/√n with the population's std (divided by
    n).

    It assumes independent values. ORBIT's are not independent: the same videos are in each of a user's 50 tasks, so the
    interval is far too narrow for new users. Report it to compare with published rows.

    Args:
        values: shape (n,), n >= 1.
        unit: what the values are, such as videos.

    Raises:
        ValueError: if there are no values.

    Source: the published implementation (microsoft/ORBIT-Dataset, 2024-08-13), the leaderboard's 95 % interval.
    """
    numbers = _numbers(values)
    return ProtocolInterval(half_width=float(1.96 * numbers.std() / np.sqrt(len(numbers))), n=len(numbers), unit=unit)


def bootstrap_over_users(
    values: ArrayLike,
    users: Sequence[str] | NDArray[np.object_],
    *,
    seed: int,
    draws: int = BOOTSTRAP_DRAWS,
    bounds: tuple[float, float] | None = None,
) -> BootstrapInterval:
    """95 % interval of the mean of `values`, by drawing as many users repeatedly, each with all their values.

    The plain percentile interval is too narrow with few users: it covered the truth in 79 % of simulated sets of 4
    users, and in 92 % of sets of 17. So each side is widened by t(n-1) / 1.96 * sqrt(n / (n-1)), and reaches at least
    as far as the jackknife's, mean +- t(n-1) standard errors: 94 to 96 % in simulations of 4 to 67 users, with equal
    and with very unequal numbers of videos (tests/eval/test_intervals.py).

    The result does not depend on the order of the values. The cost is that of (draws, users) numbers, for any number of
    values.

    Args:
        values: shape (n,), n >= 1.
        users: the user of each value, shape (n,).
        seed: the seed of the draws.
        draws: how many times users are drawn, with replacement.
        bounds: the range of possible means, to which the interval is clipped; (0, 1) for a share.

    Returns:
        the interval; `n` is the number of users. Low and high are None with fewer than LEAST_USERS.

    Raises:
        ValueError: if there are no values, or not one user per value.

    Source: the cluster bootstrap, Davison and Hinkley 1997, section 3.8; percentile interval, ibid. section 5.3;
        widening, Hesterberg 2015, section 4.5 (arXiv 1411.5279); jackknife of a ratio, Cochran 1977, section 6.17.
    """
    numbers = _numbers(values)
    _, place = np.unique(np.asarray(users, dtype=object), return_inverse=True)
    if len(place) != len(numbers):
        raise ValueError(f"{len(numbers)} values and {len(place)} users; expected one user per value")
    center = float(numbers.mean())
    sums = np.bincount(place, weights=numbers - center)  # relative to the mean, to reduce rounding errors
    return _bootstrap(
        np.asarray(sums, dtype=np.float64), np.bincount(place), center, seed=seed, draws=draws, bounds=bounds
    )


def bootstrap_of_totals(
    sums: ArrayLike,
    counts: ArrayLike,
    *,
    seed: int,
    draws: int = BOOTSTRAP_DRAWS,
    bounds: tuple[float, float] | None = None,
) -> BootstrapInterval:
    """`bootstrap_over_users`, given only each user's sum and number of values.

    Args:
        sums: the sum of each user's values, shape (users,).
        counts: each user's number of values, shape (users,), each
        at least 1.
        seed: the seed of the draws.
        draws: how many times users are drawn, with replacement.
        bounds: the range of possible means, to which the interval is clipped; (0, 1) for a share.

    Raises:
        ValueError: if there are no users, not one count per user, or a user without values.
    """
    totals, numbers = _numbers(sums), np.asarray(counts, dtype=np.int64)
    if numbers.shape != totals.shape or numbers.min() < 1:
        raise ValueError(f"counts {numbers.tolist()}; expected at least 1 for each of {len(totals)} users")
    center = float(totals.sum() / numbers.sum())
    return _bootstrap(totals - center * numbers, numbers, center, seed=seed, draws=draws, bounds=bounds)


def bootstrap_over_tasks(
    values: ArrayLike,
    users: Sequence[str],
    *,
    seed: int,
    draws: int = BOOTSTRAP_DRAWS,
    bounds: tuple[float, float] | None = None,
) -> BootstrapInterval:
    """95 % interval of the mean of `values` for other, independently drawn tasks of the same users.

    It repeatedly draws as many tasks of each user. It says nothing about other users; for these use
    `bootstrap_over_users`.

    Args:
        values: one value per task, shape (tasks,).
        users: the user of each task, shape (tasks,).
        seed: the seed of the draws.
        draws: how many times tasks are drawn, with replacement.
        bounds: the range of possible means, to which the interval is clipped; (0, 1) for a share.

    Returns:
        the percentile interval; `n` is the number of tasks. Low and high are None if a user has fewer than LEAST_TASKS.

    Raises:
        ValueError: if there are no values, or not one user per value.

    Source: the stratified bootstrap, Davison and Hinkley 1997, section 3.2.
    """
    numbers = _numbers(values)
    if len(users) != len(numbers):
        raise ValueError(f"{len(numbers)} values and {len(users)} users; expected one user per value")
    names, place = np.unique(np.asarray(users, dtype=object), return_inverse=True)
    low = high = None
    if np.bincount(place).min() >= LEAST_TASKS:
        center = float(numbers.mean())
        shifts = np.zeros(draws)
        for user, name in enumerate(names):
            shifts += _drawn_sums(numbers[place == user] - center, seed=seed, user=name, draws=draws)
        below, above = np.quantile(shifts / len(numbers), ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
        low, high = center + float(below), center + float(above)
        if bounds:
            low, high = max(low, bounds[0]), min(high, bounds[1])
    return BootstrapInterval(low, high, n=len(numbers), unit="tasks", draws=draws, seed=seed, method="percentile")


def _drawn_sums(values: NDArray[np.float64], *, seed: int, user: str, draws: int) -> NDArray[np.float64]:
    """Sums of as many values drawn with replacement, shape (draws,), computed in several batches of draws."""
    count = len(values)
    # sorted, so that their order does not matter
    rng, values = (
        keyed_rng(seed, "bootstrap over tasks", user),
        np.sort(values),
    )
    at_once = max(1, _NUMBERS_AT_ONCE // count)
    sizes = [min(at_once, draws - start) for start in range(0, draws, at_once)]
    return np.concatenate([rng.multinomial(count, np.full(count, 1 / count), size) @ values for size in sizes])


def too_few_users(interval: BootstrapInterval) -> str:
    """Why there is no interval: `2 users; at least 4 are needed`."""
    if interval.unit == "tasks":
        return f"at least {LEAST_TASKS} tasks per user are needed"
    users = "one user" if interval.n == 1 else f"{interval.n} users"
    return f"{users}; at least {LEAST_USERS} are needed"


def wilson_interval(successes: float, trials: int) -> tuple[float, float]:
    """95 % interval of a share, given `successes` in `trials`; a success can count in part.

    It is wide for few trials, unlike a bootstrap, for which 2 of 2 is certain.

    Raises:
        ValueError: if there are no trials, or more successes than trials.

    Source: Wilson 1927; Brown, Cai and DasGupta 2001, section 3.1.1, recommend it for small n.
    """
    if trials < 1 or not 0 <= successes <= trials * (1 + 1e-12):
        raise ValueError(
            f"{successes} successes in {trials} trials; expected at least one trial, and at most as many successes"
        )
    share, squared = min(successes / trials, 1.0), _NORMAL_Z**2
    middle = (share + squared / (2 * trials)) / (1 + squared / trials)
    half = _NORMAL_Z / (1 + squared / trials) * np.sqrt(share * (1 - share) / trials + squared / (4 * trials**2))
    # without rounding errors at 0 and 1, so that a perfect recognizer is inside its interval
    return (
        0.0 if share == 0 else float(max(middle - half, 0.0)),
        1.0 if share == 1 else float(min(middle + half, 1.0)),
    )


def _bootstrap(
    sums: NDArray[np.float64],
    counts: NDArray[np.int64],
    center: float,
    *,
    seed: int,
    draws: int,
    bounds: tuple[float, float] | None,
) -> BootstrapInterval:
    """Compute it from each user's sum of values minus `center`, and number of values, both of shape (users,)."""
    users = len(counts)
    low = high = None
    if users >= LEAST_USERS:
        low, high = _widened(sums, counts, center, seed=seed, draws=draws)
        if bounds:
            low, high = max(low, bounds[0]), min(high, bounds[1])
    return BootstrapInterval(low=low, high=high, n=users, unit="users", draws=draws, seed=seed, method="widened")


def _widened(
    sums: NDArray[np.float64], counts: NDArray[np.int64], center: float, *, seed: int, draws: int
) -> tuple[float, float]:
    from scipy.special import stdtrit  # Student's t quantile; importing it takes a moment

    users = len(counts)
    # how often each user is drawn, shape (draws, users): sums and counts suffice for the mean of a draw
    drawn = keyed_rng(seed, "bootstrap over users").multinomial(users, np.full(users, 1 / users), draws)
    shifts = (drawn @ sums) / (drawn @ counts)  # difference of each draw's mean from the mean
    below, above = -np.quantile(shifts, (1 - LEVEL) / 2), np.quantile(shifts, (1 + LEVEL) / 2)
    t = float(stdtrit(users - 1, (1 + LEVEL) / 2))
    factor = t / _NORMAL_Z * np.sqrt(users / (users - 1))
    without = -sums / (counts.sum() - counts)  # shift of the mean without each user; the sums add up to 0
    half = t * np.sqrt((users - 1) / users * np.square(without - without.mean()).sum())
    return center - float(max(factor * below, half)), center + float(max(factor * above, half))


def _numbers(values: ArrayLike) -> NDArray[np.float64]:
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.ndim != 1 or numbers.size == 0:
        raise ValueError(f"values of shape {numbers.shape}; expected one dimension with at least one value")
    return numbers
