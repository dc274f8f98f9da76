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
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(READERS) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(read, item))
                if len(waiting) == 2 * READERS:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:  # what was not taken need not be read
                future.cancel()
