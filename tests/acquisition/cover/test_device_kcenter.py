"""K-center by flat passes, as a GPU runs them; the CPU stands for it."""

from typing import Any

import numpy as np
import pytest
import torch
from covers import KINDS, positions_of

from atal_ray.acquisition.cover import device_kcenter
from atal_ray.acquisition.cover import members as cover_members
from atal_ray.acquisition.cover.device_kcenter import cover_kcenter_on_device, fits_on_gpu
from atal_ray.acquisition.cover.distances import FLOAT64, dimensions_of, distance_error, squared_euclidean
from atal_ray.acquisition.cover.kcenter import cover_kcenter_lazy
from atal_ray.acquisition.rds import cover_kcenter
from atal_ray.errors import DataError


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_kcenter, "SENT", 128)
    monkeypatch.setattr(cover_members, "MEMBERS", 5)
    monkeypatch.setattr(cover_members, "PRODUCT", 60)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_picks_are_those_of_rds(kind: str, dtype: Any) -> None:
    positions = positions_of(kind, 1).astype(dtype)
    expected = cover_kcenter(positions, 120, 1).tolist()
    assert cover_kcenter_on_device(positions, 120, [1], "cpu").tolist() == expected


@pytest.mark.parametrize("kind", KINDS)
def test_a_start_set_comes_first_and_m_may_be_all(kind: str) -> None:
    positions, start = positions_of(kind, 4)[:200], [17, 3, 180, 18]
    for m in (2, 60, 1000):
        expected = cover_kcenter_lazy(positions, m, start).tolist()
        assert cover_kcenter_on_device(positions, m, start, "cpu").tolist() == expected


@pytest.mark.parametrize("seed", range(3))
def test_members_are_right_however_products_err_within_the_bound(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    positions = positions_of("clustered", seed)
    error, noise = 0.02 * float(np.square(positions).sum(axis=1).max()), np.random.default_rng(seed)
    measure = device_kcenter._Passes.measure

    def noisy(passes: Any, member: int) -> None:
        passes.error = error
        kept = passes.squares
        sign = torch.from_numpy(noise.choice([-1.0, 1.0], len(kept)))
        passes.squares = kept + 0.999 * error * sign
        passes.squares[member] = kept[member]
        measure(passes, member)
        passes.squares = kept

    monkeypatch.setattr(device_kcenter._Passes, "measure", noisy)
    expected = cover_kcenter(positions, 60, seed).tolist()
    assert cover_kcenter_on_device(positions, 60, [seed], "cpu").tolist() == expected


def test_float64_products_stay_within_the_bound_of_their_error() -> None:
    x = np.random.default_rng(0).uniform(-1, 1, (200, 64))
    squares = (x * x).sum(1)
    product = squares[:, None] + squares - 2 * (x @ x.T)
    dimensions = dimensions_of(x)
    on_cpu = squared_euclidean(dimensions[:, :, None], dimensions[:, None, :])
    bound = distance_error(float(squares.max()), 64, FLOAT64)
    exact = ((x.astype(np.longdouble)[:, None] - x) ** 2).sum(axis=2)
    for found in (product, on_cpu):
        assert 0 < float(np.abs(found - exact).max()) < bound < 1e-11


def test_equal_and_few_candidates() -> None:
    assert cover_kcenter_on_device(np.ones((50, 3), np.float32), 5, device="cpu").tolist() == [0, 1, 2, 3, 4]
    assert cover_kcenter_on_device(np.empty((0, 3), np.float32), 5, device="cpu").tolist() == []


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e30])
def test_bad_input_is_named(value: float) -> None:
    bad = np.ones((4, 2), np.float32)
    bad[2, 1] = value
    with pytest.raises(DataError, match="not finite"):
        cover_kcenter_on_device(bad, 2, device="cpu")


def test_progress_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_kcenter, "REPORTED", 30)
    reported: list[float] = []
    cover_kcenter_on_device(positions_of("clustered", 6), 100, device="cpu", on_progress=reported.append)
    assert reported == [30, 60, 90, 100]


def test_room_on_the_gpu_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert not fits_on_gpu(10, 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (10**9, 10**10))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: 0)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda: 0)
    assert fits_on_gpu(10**6, 64)
    assert not fits_on_gpu(2 * 10**6, 64)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: 10**9)  # and given back
    assert fits_on_gpu(2 * 10**6, 64)
