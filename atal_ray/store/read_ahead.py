"""Many files read at once, their contents taken in order."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from atal_ray.store.work_ahead import work_ahead

Item = TypeVar("Item")
Result = TypeVar("Result")

READERS = 8
"""Files read at once: a store answers many requests in the time of one."""


def read_ahead(read: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """The result of `read` for each item in order, of which no more than twice READERS wait to be taken."""
    with ThreadPoolExecutor(READERS) as pool:
        yield from work_ahead(read, items, pool, 2 * READERS)
