"""Apply a function to items in a few threads, for functions that spend their time outside Python."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Value = TypeVar("Value")


def map_in_order(
    function: Callable[[Item], Value], items: Iterable[Item], *, at_once: int
) -> Generator[Value, None, None]:
    """Yield `function(item)` for each item, in the order of the items.

    One more item is taken than there are threads, so that no thread waits for the next item. With `at_once` 1, no
    thread is started and no item is taken in advance.

    Raises:
        Exception: what `function` or `items` raised, after the values before it were yielded.
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
                except Exception as error:  # the end of the items, or an error in making them
                    fault = error
                while len(waiting) > (at_once if fault is None else 0):
                    yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
    if not isinstance(fault, StopIteration):
        raise fault
