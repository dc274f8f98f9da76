"""Many files read at once, their contents taken in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

READERS = 8
"""Files read at once: a store answers many requests in the time of one."""


def read_ahead(read: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """The result of `read` for each item in order, of which no more than twice READERS wait to be taken."""
    with ThreadPoolExecutor(READERS) as pool:
        yield from work_ahead(read, items, pool, 2 * READERS)


def work_ahead(
    work: Callable[[Item], Result], items: Iterable[Item], pool: ThreadPoolExecutor, most: int = 2
) -> Iterator[Result]:
    """The result of `work` for each item in order, done by the threads of a pool.

    Args:
        work: what is done with an item.
        items: taken as they are needed.
        pool: stays open.
        most: results and items under way that wait to be taken; 2: the next one, beside what is done here.
    """
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) == most:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:  # what was not taken need not be done
            future.cancel()
