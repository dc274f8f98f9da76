import os
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

from atal_ray.training.round_cache import Decoded, RoundCache

HEIGHT, WIDTH = 10, 20
SIZE = 4 * HEIGHT * WIDTH


@pytest.fixture(autouse=True)
def _roomy_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the disk is free, wherever these tests run."""
    half_free = os.statvfs_result((4096, 4096, 10**9, 10**9 // 2, 10**9 // 2, 0, 0, 0, 0, 255))
    monkeypatch.setattr(os, "fstatvfs", lambda _: half_free)


def decoded(number: int) -> Decoded:
    random = np.random.default_rng(number)
    image = random.integers(256, size=(HEIGHT, WIDTH, 3), dtype=np.uint8)
    return Decoded(image, random.integers(256, size=(HEIGHT, WIDTH), dtype=np.uint8))


def never() -> Decoded:
    raise AssertionError("it was made again")


def assert_same(found: Decoded, expected: Decoded) -> None:
    assert np.array_equal(found.image, expected.image)
    assert np.array_equal(found.known, expected.known)


@pytest.mark.parametrize("limit", [0, 2 * SIZE, 100 * SIZE])
def test_an_image_is_made_once_wherever_it_is_kept(limit):
    cache = RoundCache(limit)
    for number in range(6):
        cache.get(number, partial(decoded, number))
    for number in (5, 0, 3, 1, 2, 4):
        assert_same(cache.get(number, never), decoded(number))
    assert cache.used == min(limit, 6 * SIZE)


@pytest.mark.parametrize("images", [1000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_memory_stays_within_its_limit(images):
    limit = 100 * SIZE
    cache = RoundCache(limit)
    tracemalloc.start()
    try:
        for number in range(images):
            cache.get(number, partial(decoded, number))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert cache.used <= limit
    assert peak < limit + 400 * images + 200_000  # the places of the images on the disk, and one image
    assert_same(cache.get(images - 1, never), decoded(images - 1))


def test_threads_share_it():
    cache = RoundCache(50 * SIZE)
    with ThreadPoolExecutor(8) as threads:
        for _ in range(3):
            found = list(threads.map(lambda number: cache.get(number, lambda: decoded(number)), range(100)))
    for number, one in enumerate(found):
        assert_same(one, decoded(number))
    assert cache.used == 50 * SIZE


def test_crops_with_gaps_are_written_whole():
    cache, wide = RoundCache(0), decoded(1)
    part = Decoded(wide.image[2:7, 3:9], wide.known[2:7, 3:9])
    cache.get(0, lambda: part)
    assert_same(cache.get(0, never), part)


def test_without_room_on_the_disk_images_are_made_again_and_that_is_said(monkeypatch, caplog):
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    cache = RoundCache(SIZE)
    monkeypatch.setattr(os, "pwrite", full)
    for _ in range(2):
        for number in range(3):
            assert_same(cache.get(number, partial(decoded, number)), decoded(number))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "No space left on device" in caplog.text


def test_a_tenth_of_the_disk_stays_free(monkeypatch, caplog):
    nearly_full = os.statvfs_result((4096, 4096, 1000, 100, 100, 0, 0, 0, 0, 255))
    monkeypatch.setattr(os, "fstatvfs", lambda _: nearly_full)
    cache, made = RoundCache(0), []
    for _ in range(2):
        cache.get(0, lambda: made.append(0) or decoded(0))
    assert made == [0, 0]
    assert "nearly full" in caplog.text
