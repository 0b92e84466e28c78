import threading

import pytest

from groundwork.threads import map_in_order


def square(number: int) -> int:
    return number * number


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_values_come_in_the_order_of_the_items(at_once):
    first_may_end = threading.Event()

    def slow_at_first(number: int) -> int:
        if number == 0 and at_once > 1:
            assert first_may_end.wait(60)
        if number == at_once - 1:
            first_may_end.set()
        return number * number

    assert list(map_in_order(slow_at_first, range(10), at_once=at_once)) == [number * number for number in range(10)]


@pytest.mark.parametrize("at_once", [1, 3])
def test_at_most_one_item_is_taken_in_advance(at_once):
    taken = 0

    def items():
        nonlocal taken
        for number in range(20):
            taken += 1
            yield number

    values = map_in_order(square, items(), at_once=at_once)
    for given in range(1, 10):
        next(values)
        assert taken <= given + (at_once if at_once > 1 else 0)
    values.close()


@pytest.mark.parametrize("at_once", [1, 3])
def test_an_error_comes_after_the_values_before_it(at_once):
    def broken():
        yield from range(5)
        raise OSError("cut off")

    found = []
    with pytest.raises(OSError, match="cut off"):
        found.extend(map_in_order(square, broken(), at_once=at_once))  # extend keeps the values before the error
    assert found == [0, 1, 4, 9, 16]

    values = map_in_order(lambda number: 1 // (number - 2), range(5), at_once=at_once)
    assert [next(values), next(values)] == [-1, -1]
    with pytest.raises(ZeroDivisionError):
        next(values)
