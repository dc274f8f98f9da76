"""One budget for all images, against the rules carried out one point at a time."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from atal_ray.acquisition.cover.distances import OnProgress, ignore_progress
from atal_ray.acquisition.dataset_budget.allocation import Covers, allocate, index_in_image, take
from atal_ray.acquisition.dataset_budget.similarity import LabelledFeatures
from atal_ray.acquisition.rds import cover_kcenter
from atal_ray.config import QueryConfig

CONFIG = QueryConfig(scope="dataset", floor=1, ceiling=3, cover_factor=2, shortlist_percent=50.0)


def covers_of(images: int, seed: int = 0, most: int = 12) -> Covers:
    rng = np.random.default_rng(seed)
    image = np.repeat(np.arange(images, dtype=np.int32), rng.integers(0, most, images))
    vectors = rng.normal(size=(len(image), 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    score = (rng.integers(0, 8, len(image)) / 8).astype(np.float32)  # many equal ones
    return Covers(image, score, rng.integers(-1, 5, len(image)).astype(np.int32), vectors.__getitem__)


def tie_of(covers: Covers) -> np.ndarray:
    return np.random.default_rng(7).random(len(covers.image), np.float32)


def reporting_cover(positions: np.ndarray, m: int, on_progress: OnProgress) -> np.ndarray:
    chosen = cover_kcenter(positions, m)
    on_progress(len(chosen))
    return chosen


def spend(
    covers: Covers, budget: int, config: QueryConfig = CONFIG, on_progress: OnProgress = ignore_progress
) -> np.ndarray:
    labelled = LabelledFeatures("mean", "numpy")
    labelled.add(np.eye(4, dtype=np.float32)[:2])
    options: dict[str, Any] = {"cover": reporting_cover, "labelled": labelled, "tie": tie_of(covers)}
    return allocate(covers, budget, config, on_progress=on_progress, **options)


def naively(covers: Covers, budget: int, config: QueryConfig) -> list[int]:
    """The same rules with lists."""
    vectors = covers.features(np.arange(len(covers.image)))
    labelled = [*np.eye(4)[:2].astype(np.float32)]
    spot: list[int] = []
    for row, image in enumerate(covers.image):
        spot.append(spot[-1] + 1 if row and covers.image[row - 1] == image else 0)
    floors = [row for row in range(len(spot)) if spot[row] < config.floor]
    tie = tie_of(covers)
    others = sorted(
        (row for row in range(len(spot)) if spot[row] >= config.floor),
        key=lambda row: (-covers.score[row], tie[row]),
    )
    rest = budget - len(floors)
    short = others[: max(rest, int(np.ceil(len(others) * config.shortlist_percent / 100)))]
    images = int(covers.image[-1]) + 1
    parts = -(-images // config.cover_images)
    m, seen, chosen = min(config.cover_factor * rest, len(short)), 0, []
    for part in range(parts):
        mine, picked = [row for row in short if int(covers.image[row]) * parts // images == part], []
        share = m * (seen + len(mine)) // len(short) - m * seen // len(short)
        seen += len(mine)
        while len(picked) < share:
            far = [
                np.inf
                if not picked
                else min(float(np.sum((vectors[row].astype(float) - vectors[v]) ** 2)) for v in picked)
                for row in mine
            ]
            far = [-1.0 if row in picked else distance for row, distance in zip(mine, far, strict=True)]
            picked.append(mine[int(np.argmax(far))])
        chosen += picked
    known = np.array([*labelled, *(vectors[row] for row in floors)], dtype=float)
    phi = {row: round(float(np.mean(known @ vectors[row].astype(float))), 6) for row in short}
    ranked = sorted(others, key=lambda row: (row not in chosen, phi[row] if row in chosen else 0.0))
    used, count = (
        {(covers.image[row], covers.superpixel[row]) for row in floors},
        np.bincount(covers.image[floors], minlength=99),
    )
    taken, late = list(floors), []
    for row in ranked:
        region = (covers.image[row], covers.superpixel[row])
        if region[1] >= 0 and region in used:
            late.append(row)
        else:
            used.add(region)
            if count[covers.image[row]] < config.ceiling and len(taken) < budget:
                taken.append(row)
                count[covers.image[row]] += 1
    for row in late:
        if count[covers.image[row]] < config.ceiling and len(taken) < budget:
            taken.append(row)
            count[covers.image[row]] += 1
    return sorted(taken, key=lambda row: covers.image[row])


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"floor": 0},
        {"floor": 2, "ceiling": 5},
        {"shortlist_percent": 100.0},
        {"cover_factor": 1},
        {"cover_images": 4},
        {"cover_images": 1, "floor": 0},
    ],
)
def test_equals_the_rules_carried_out_point_by_point(seed: int, changes: dict[str, Any]) -> None:
    covers, config = covers_of(9, seed), dataclasses.replace(CONFIG, **changes)
    assert spend(covers, 18, config).tolist() == naively(covers, 18, config)


@pytest.mark.parametrize("seed", range(4))
def test_budget_is_met_exactly_within_floor_and_ceiling(seed: int) -> None:
    covers = covers_of(40, seed)
    chosen = spend(covers, 60)
    assert len(chosen) == len(set(chosen.tolist())) == 60
    there, found = np.bincount(covers.image, minlength=40), np.bincount(covers.image[chosen], minlength=40)
    assert (found >= np.minimum(there, CONFIG.floor)).all()
    assert found.max() <= CONFIG.ceiling
    assert (np.diff(covers.image[chosen]) >= 0).all()


@pytest.mark.parametrize("images", [1, 7, 40, 1000])
def test_parts_are_whole_images_and_no_more_than_asked(images: int) -> None:
    covers = covers_of(40, 3)
    rows = np.random.default_rng(4).permutation(len(covers.image))[:150]
    parts = list(covers.parts(rows, images))
    assert sorted(np.concatenate(parts).tolist()) == list(range(150))
    assert all((np.diff(part) > 0).all() for part in parts), "as they stand"
    found = [set(covers.image[rows[part]].tolist()) for part in parts]
    assert sum(map(len, found)) == len(set.union(*found))
    assert max(map(len, found)) <= images


@pytest.mark.parametrize("images", [9, 12_000])
def test_no_more_than_a_part_is_asked_for_at_once_and_the_share_is_reported(images: int) -> None:
    covers, asked, shares = covers_of(40), [], []

    def features(rows: np.ndarray) -> np.ndarray:
        asked.append(len(set(covers.image[rows].tolist())))
        return covers.features(rows)

    spend(
        dataclasses.replace(covers, features=features),
        60,
        dataclasses.replace(CONFIG, cover_images=images),
        shares.append,
    )
    assert max(asked) <= images
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert len(shares) == -(-40 // images)


def test_where_the_floors_take_all_nothing_is_covered() -> None:
    shares: list[float] = []
    assert len(spend(covers_of(20), 10, on_progress=shares.append)) == 10
    assert shares == []


def test_floor_and_ceiling_of_k_leave_the_choice_of_each_image() -> None:
    covers = covers_of(20)
    chosen = spend(covers, 60, dataclasses.replace(CONFIG, floor=3, ceiling=3))
    assert chosen.tolist() == np.flatnonzero(index_in_image(covers.image) < 3).tolist()


def test_what_the_ceilings_forbid_is_not_spent() -> None:
    covers = covers_of(10)
    there = np.bincount(covers.image, minlength=10)
    assert len(spend(covers, 1000)) == np.minimum(there, CONFIG.ceiling).sum()


def test_uncertain_images_get_what_the_floors_leave() -> None:
    covers = covers_of(30, most=13)
    score = np.where(covers.image < 15, np.float32(0.1), np.float32(0.9)) + covers.score / np.float32(100)
    found = np.bincount(covers.image[spend(dataclasses.replace(covers, score=score), 45)], minlength=30)
    assert found[15:].sum() > 2 * found[:15].sum()


def test_second_point_of_a_superpixel_only_where_nothing_else_is_left() -> None:
    image = np.array([0, 0, 0, 0], np.int32)
    covers = Covers(
        image,
        np.ones(4, np.float32),
        np.array([5, 5, 6, 5], np.int32),
        np.eye(4, dtype=np.float32).__getitem__,
    )
    order = np.arange(4)
    assert take(covers, order, 2, 4, kept=1).tolist() == [0, 2]
    assert take(covers, order, 3, 4, kept=1).tolist() == [0, 2, 1]
    assert take(covers, order, 3, 2, kept=1).tolist() == [0, 2]


def test_superpixels_of_different_images_are_different() -> None:
    covers = Covers(
        np.array([0, 1], np.int32),
        np.ones(2, np.float32),
        np.array([5, 5], np.int32),
        np.eye(2, dtype=np.float32).__getitem__,
    )
    assert take(covers, np.array([1, 0]), 2, 1, kept=0).tolist() == [0, 1]


def test_index_counts_within_each_image() -> None:
    assert index_in_image(np.array([3, 3, 3, 5, 8, 8], np.int32)).tolist() == [0, 1, 2, 0, 0, 1]
    assert index_in_image(np.empty(0, np.int32)).tolist() == []


def test_no_candidate_at_all_is_no_point() -> None:
    assert spend(covers_of(0), 4).tolist() == []
