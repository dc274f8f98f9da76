import threading
import time

import pytest

from atal_ray.store.read_ahead import READERS, read_ahead


def test_results_come_in_order_and_several_are_read_at_once() -> None:
    lock, running, most = threading.Lock(), 0, 0

    def read(number: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.002 * (number % 5))
        with lock:
            running -= 1
        return -number

    assert list(read_ahead(read, range(60))) == [-number for number in range(60)]
    assert 1 < most <= READERS
    assert list(read_ahead(read, [])) == []


def test_what_waits_is_bounded() -> None:
    read: list[int] = []
    found = read_ahead(read.append, range(1000))
    next(found)
    time.sleep(0.05)
    assert len(read) <= 2 * READERS
    found.close()
    assert len(read) <= 2 * READERS


def test_an_error_comes_at_its_place() -> None:
    found = read_ahead(lambda number: 1 // number, [1, 1, 0, 1])
    assert [next(found), next(found)] == [1, 1]
    with pytest.raises(ZeroDivisionError):
        next(found)
