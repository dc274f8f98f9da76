"""Work that threads do ahead, its results taken in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


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
