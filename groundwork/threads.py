"""A function over a row of items in a few threads at once, for functions that spend their time outside Python."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Value = TypeVar("Value")


def map_in_order(
    function: Callable[[Item], Value], items: Iterable[Item], *, at_once: int
) -> Generator[Value, None, None]:
    """Give `function(item)` of each item, in the order of the items.

    One item more than are in work is taken ahead, so that no thread waits while the next item is made. With `at_once`
    1 there is no thread, and nothing is taken ahead.

    Raises:
        Exception: what `function` or `items` raised, once the values before it were given.
    """
    if at_once == 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(at_once) as pool:
        waiting: deque[Future[Value]] = deque()
        rest, fault = iter(items), None
        try:
            while fault is None:
                try:
                    waiting.append(pool.submit(function, next(rest)))
                except Exception as error:  # the end, or what befell the items
                    fault = error
                while len(waiting) > (at_once if fault is None else 0):
                    yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
    if not isinstance(fault, StopIteration):
        raise fault
