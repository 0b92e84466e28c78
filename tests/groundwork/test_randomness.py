import numpy as np
import pytest

from groundwork.randomness import keyed_rng, keyed_seed


def test_the_same_keys_give_the_same_draw_and_other_keys_a_different_one():
    draws = {keyed_rng(*keys).random() for keys in [(1, "P177", 3), (1, "P177", 4), (1, "P178", 3), (2, "P177", 3)]}
    assert len(draws) == 4
    assert keyed_rng(1, "P177", 3).random() in draws


def test_keys_are_not_concatenated():
    assert keyed_rng(1, "a", "bc").random() != keyed_rng(1, "ab", "c").random()
    assert 0 <= keyed_seed(1, "a") < 2**63


# Recorded with NumPy 2.4. Every drawn task and every bootstrap interval depends on these draws. NumPy does not promise
# that a release keeps the streams of its generators; if one changes, this test explains why those numbers changed.
GOLDEN = {
    "integers": (lambda rng: rng.integers(0, 1000, 8).tolist(), [45, 345, 488, 468, 73, 270, 161, 559]),
    "one integer": (lambda rng: int(rng.integers(2, 100)), 6),
    "permutation": (lambda rng: rng.permutation(10).tolist(), [9, 0, 4, 1, 3, 2, 5, 7, 6, 8]),
    "permutation of an array": (lambda rng: rng.permutation(np.arange(100))[:5].tolist(), [25, 32, 63, 66, 73]),
    "random": (lambda rng: rng.random().hex(), "0x1.623ad5602e3aep-2"),
    "choice": (lambda rng: rng.choice(100, 5, replace=False).tolist(), [46, 47, 7, 4, 33]),
    "multinomial": (lambda rng: rng.multinomial(17, np.full(5, 1 / 5)).tolist(), [3, 3, 3, 4, 4]),
}


@pytest.mark.parametrize("kind", GOLDEN)
def test_the_draws_match_the_recorded_ones(kind):
    draw, expected = GOLDEN[kind]
    assert draw(keyed_rng(1991, "P177", 3)) == expected


def test_the_keys_match_the_recorded_ones():
    p177 = 0xFF19D9A7AFFB1A05  # the first 8 bytes of its SHA-256, as `echo -n P177 | sha256sum` prints them
    assert keyed_rng(1991, "P177", 3).random() == np.random.default_rng([1991, p177, 3]).random()
    assert keyed_rng(5).random() == np.random.default_rng([5]).random()
    assert [keyed_seed(1991, "P177"), keyed_seed(0, "é")] == [6568003255384438380, 2278455887235705321]
