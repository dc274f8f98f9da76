"""Work that threads do ahead: in order, no more than was said, and the pool stays open."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from atal_ray.store.work_ahead import work_ahead


def test_results_come_in_order_and_no_more_is_begun_than_said() -> None:
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        return item * item

    with ThreadPoolExecutor(1) as pool:
        found = work_ahead(work, range(6), pool)
        assert next(found) == 0
        time.sleep(0.05)
        assert begun == [0, 1], "the next one, and no other"
        assert [*found] == [1, 4, 9, 16, 25]
        assert [*work_ahead(work, [], pool)] == []
        assert [*work_ahead(work, [7], pool)] == [49], "the pool is still open"


def test_an_error_comes_at_its_place_and_the_pool_goes_on() -> None:
    def work(item: int) -> int:
        if item == 1:
            raise ValueError("one")
        return item

    with ThreadPoolExecutor(1) as pool:
        found = work_ahead(work, range(4), pool)
        assert next(found) == 0
        with pytest.raises(ValueError, match="one"):
            next(found)
        assert [*work_ahead(work, [2, 3], pool)] == [2, 3]


def test_what_is_not_taken_is_not_begun() -> None:
    begun, go_on = [], threading.Event()

    def work(item: int) -> None:
        begun.append(item)
        go_on.wait(5)

    with ThreadPoolExecutor(1) as pool:
        found = work_ahead(work, range(9), pool, most=4)
        taking = threading.Thread(target=lambda: next(found))
        taking.start()
        time.sleep(0.05)
        go_on.set()
        taking.join()
        found.close()
    assert len(begun) <= 4
