from typing import get_args

import numpy as np
import pytest
from covers import KINDS, positions_of, squared_distances

from atal_ray.acquisition.cover import blocks, maxsum
from atal_ray.acquisition.cover.maxsum import cover_maxsum_scan
from atal_ray.acquisition.rds import cover_maxsum
from atal_ray.config.resources import Index
from atal_ray.errors import DataError


def flat(positions: np.ndarray, m: int, start: list[int]) -> list[int]:
    """Every candidate at every pick, summed in float64."""
    total = np.zeros(len(positions))
    chosen: list[int] = []
    while len(chosen) < min(m, len(positions)):
        pick = start[len(chosen)] if len(chosen) < len(start) else int(total.argmax())
        chosen.append(pick)
        total += np.sqrt(squared_distances(positions, pick))
        total[chosen] = -np.inf
    return chosen


@pytest.fixture(autouse=True)
def _many_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small blocks, so that a thousand candidates go through what millions do."""
    monkeypatch.setattr(maxsum, "ROWS", 32)
    monkeypatch.setattr(maxsum, "PAIRS", 70)
    monkeypatch.setattr(blocks, "TASK", 3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("threads", [1, 3])
def test_the_picks_are_those_of_float64_sums(kind: str, threads: int) -> None:
    positions = positions_of(kind, threads)
    expected = flat(positions, 60, [threads])
    for backend in get_args(Index):
        assert cover_maxsum_scan(positions, 60, [threads], threads, backend).tolist() == expected
    assert cover_maxsum(positions, 60, threads).tolist() == expected


@pytest.mark.parametrize("kind", KINDS)
def test_a_start_set_comes_first_and_counts(kind: str) -> None:
    positions, start = positions_of(kind, 4), [17, 3, 880, 18]
    assert cover_maxsum_scan(positions, 40, start).tolist() == flat(positions, 40, start)
    assert cover_maxsum_scan(positions, 2, start).tolist() == [17, 3]


def test_m_beyond_n_gives_every_candidate_in_the_flat_order() -> None:
    positions = positions_of("duplicated", 5)[:70]
    assert cover_maxsum_scan(positions, 1000).tolist() == flat(positions, 1000, [0])


def test_few_candidates_are_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = 0
    exact = maxsum.Sums._measure

    def counted(sums: maxsum.Sums, rows: np.ndarray) -> np.ndarray:
        nonlocal measured
        measured += len(rows)
        return exact(sums, rows)

    monkeypatch.setattr(maxsum.Sums, "_measure", counted)
    cover_maxsum_scan(positions_of("random", 6), 100)
    assert measured < 3 * 100


@pytest.mark.parametrize("kind", ["random", "clustered", "tied"])
@pytest.mark.parametrize("seed", range(3))
def test_members_are_right_however_products_err_within_the_bound(
    kind: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    positions = positions_of(kind, seed)
    error, noise = 0.02 * float(np.square(positions).sum(axis=1).max()), np.random.default_rng(seed)

    def noisy(block: np.ndarray, vector: np.ndarray) -> np.ndarray:
        signs = noise.choice(np.array([-1, 1], np.float32), len(block))
        return np.vecdot(block, vector) + np.float32(1.9 * error) * signs

    monkeypatch.setattr(maxsum, "row_products", lambda _: noisy)
    monkeypatch.setattr(maxsum, "distance_error", lambda *_: error)  # of which the pass allows for twice
    assert cover_maxsum_scan(positions, 40, [seed]).tolist() == flat(positions, 40, [seed])


def test_progress_is_reported() -> None:
    reported: list[float] = []
    cover_maxsum_scan(positions_of("random", 6), 20, on_progress=reported.append)
    assert reported == list(range(2, 21))


def test_few_candidates_and_bad_input() -> None:
    assert cover_maxsum_scan(np.ones((50, 3), np.float32), 5).tolist() == [0, 1, 2, 3, 4]
    assert cover_maxsum_scan(np.empty((0, 3), np.float32), 5).tolist() == []
    with pytest.raises(DataError, match="different candidates from 0 to 3"):
        cover_maxsum_scan(np.ones((4, 2), np.float32), 3, [4])
    with pytest.raises(DataError, match="not finite"):
        cover_maxsum_scan(np.full((4, 2), np.nan, np.float32), 3)
