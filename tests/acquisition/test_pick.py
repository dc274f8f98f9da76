import dataclasses
from collections.abc import Callable
from math import dist

import numpy as np
import pytest

from atal_ray.acquisition.features import sample_bilinear
from atal_ray.acquisition.grid import original_pixels
from atal_ray.acquisition.pick import Pick, PixelPool, pick_diverse, pick_random, pick_uncertain, rank_diverse
from atal_ray.config import QueryConfig

SIZE, CHANNELS = 32, 5
CONFIG = QueryConfig(top_percent=20.0)
SHAPES = [(90, 130), (32, 32), (20, 25), (200, 11), (3, 3)]  # coarser and finer than the grid, and both
Picker = Callable[[PixelPool, int, int], Pick]


def superpixel_of(y: np.ndarray, x: np.ndarray, width: int) -> np.ndarray:
    """Blocks of 8 px in the original image."""
    return (y // 8 * (width // 8 + 1) + x // 8).astype(np.int32)


def make_pool(height: int, width: int, seed: int = 0, share: float = 0.7, regions: bool = True) -> PixelPool:
    grid = original_pixels(SIZE, height, width)
    kept = np.ix_(grid.cell_rows, grid.cell_columns)
    y, x = np.meshgrid(grid.rows, grid.columns, indexing="ij")
    free, superpixels = np.zeros((SIZE, SIZE), bool), np.full((SIZE, SIZE), -1, np.int32)
    free[kept] = np.random.default_rng(seed).random(y.shape) < share
    if regions:
        superpixels[kept] = superpixel_of(y, x, width)
    return PixelPool(height, width, free, superpixels, np.array([[0, 0], [width - 1, height - 1]], np.int32))


def score_map(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed + 100).random((SIZE, SIZE), np.float32)


def feature_map(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed + 200).normal(size=(CHANNELS, 8, 8)).astype(np.float32)


def randomly(pool: PixelPool, k: int, seed: int = 0) -> Pick:
    return pick_random(pool, k, np.random.default_rng(seed))


def uncertainly(pool: PixelPool, k: int, seed: int = 0) -> Pick:
    return pick_uncertain(pool, score_map(), k, np.random.default_rng(seed))


def diversely(pool: PixelPool, k: int, seed: int = 0) -> Pick:
    return pick_diverse(pool, score_map(), feature_map(), k, CONFIG, np.random.default_rng(seed))


PICKERS = [randomly, uncertainly, diversely]


@pytest.mark.parametrize("pick", PICKERS)
@pytest.mark.parametrize(("height", "width"), SHAPES)
@pytest.mark.parametrize("k", [1, 2, 7])
def test_picks_are_distinct_free_pixels_of_the_image(pick: Picker, height: int, width: int, k: int) -> None:
    pool = make_pool(height, width)
    found = pick(pool, k, 0)
    rows, columns = found.cells
    assert len(found.xy) == len(rows) == len(columns) == min(k, int(pool.free.sum()))
    assert pool.free[rows, columns].all()
    assert len({tuple(point) for point in found.xy.tolist()}) == len(found.xy)
    for (x, y), row, column in zip(found.xy.tolist(), rows.tolist(), columns.tolist(), strict=True):
        assert 0 <= x < width
        assert 0 <= y < height
        assert (x, y) == (int((column + 0.5) * width / SIZE), int((row + 0.5) * height / SIZE))
        assert pool.superpixels[row, column] == superpixel_of(np.array(y), np.array(x), width)


@pytest.mark.parametrize("pick", PICKERS)
def test_equal_seeds_pick_alike_and_the_pool_is_left_alone(pick: Picker) -> None:
    pool = make_pool(90, 130)
    free = pool.free.copy()
    assert np.array_equal(pick(pool, 5, 3).xy, pick(pool, 5, 3).xy)
    assert np.array_equal(pool.free, free)


@pytest.mark.parametrize("pick", PICKERS)
@pytest.mark.parametrize("left", [0, 1, 3])
def test_an_exhausted_image_gives_what_is_left(pick: Picker, left: int) -> None:
    pool = make_pool(90, 130, share=0.0)
    cells = np.random.default_rng(1).choice(SIZE * SIZE, left, replace=False)
    pool.free.ravel()[cells] = True
    found = pick(pool, 5, 0)
    assert found.xy.shape == (left, 2)
    assert set((found.cells[0] * SIZE + found.cells[1]).tolist()) == set(cells.tolist())


@pytest.mark.parametrize("pick", [randomly, diversely])
@pytest.mark.parametrize("seed", range(5))
def test_superpixels_differ_as_long_as_there_are_any(pick: Picker, seed: int) -> None:
    pool = make_pool(40, 40, seed)  # 25 superpixels, all with free pixels
    found = pick(pool, 6, seed)
    assert len(set(pool.superpixels[found.cells].tolist())) == 6
    pool.superpixels[:] = np.where(np.arange(SIZE) < 16, 0, 1)  # two are left for six
    found = pick(pool, 6, seed)
    assert len(found.xy) == 6
    assert set(pool.superpixels[found.cells].tolist()[:2]) == {0, 1}


@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_a_margin_keeps_to_the_inside_while_enough_is_left(height: int, width: int) -> None:
    pool = make_pool(height, width, share=1.0)
    assert pool.within(0.0, 1) is pool
    inner = pool.within(0.2, 1)
    for row, column in zip(*np.nonzero(inner.free), strict=True):
        x, y = (int((column + 0.5) * width / SIZE), int((row + 0.5) * height / SIZE))
        assert 0.2 <= (x + 0.5) / width <= 0.8
        assert 0.2 <= (y + 0.5) / height <= 0.8
    inside = sum(
        0.2 <= (x + 0.5) / width <= 0.8 and 0.2 <= (y + 0.5) / height <= 0.8
        for y in pool.grid.rows
        for x in pool.grid.columns
    )
    assert np.count_nonzero(inner.free) == inside
    assert pool.within(0.2, inside + 1) is pool
    assert not (inner.free & ~pool.free).any()


def test_without_regions_picks_may_lie_anywhere() -> None:
    pool = make_pool(40, 40, regions=False)
    assert (pool.superpixels == -1).all()
    for pick in (randomly, diversely):
        assert len(pick(pool, 40, 0).xy) == 40


def test_random_picks_cover_the_image_evenly() -> None:
    pool = make_pool(96, 96, share=1.0)
    drawn = np.concatenate([randomly(pool, 4, seed).xy for seed in range(500)])
    counts = np.histogram2d(drawn[:, 0], drawn[:, 1], bins=4, range=[[0, 96], [0, 96]])[0]
    assert counts.sum() == 2000
    assert abs(counts - 125).max() < 50  # 4.6 standard deviations
    assert len({tuple(point) for point in drawn.tolist()}) > 700


def test_random_picks_ignore_how_many_cells_share_a_pixel() -> None:
    pool = make_pool(3, 4, share=1.0, regions=False)
    counts = np.zeros((3, 4))
    for seed in range(2000):
        ((x, y),) = randomly(pool, 1, seed).xy
        counts[y, x] += 1
    assert abs(counts - 2000 / 12).max() < 60  # 4.9 standard deviations


def test_uncertain_picks_are_the_top_of_the_sorted_scores() -> None:
    pool = make_pool(90, 130)
    score = score_map()
    found = uncertainly(pool, 9)
    best = sorted(score[pool.free].tolist(), reverse=True)[:9]
    assert score[found.cells].tolist() == best


def naive_diverse(pool: PixelPool, k: int) -> list[tuple[int, int]]:
    """Candidates by score, greedy k-center, least mean cosine, the first of each superpixel before others."""
    score, features, n = score_map(), feature_map(), int(SIZE * SIZE * CONFIG.top_percent / 100)
    cells = sorted(np.argwhere(pool.free).tolist(), key=lambda cell: -score[tuple(cell)])[:n]
    place = [(int((c + 0.5) * pool.width / SIZE), int((r + 0.5) * pool.height / SIZE)) for r, c in cells]
    cover = [0]
    while len(cover) < CONFIG.cover_factor * k:
        cover.append(max(range(n), key=lambda i: min(dist(place[i], place[j]) for j in cover)))

    def feature(column: float, row: float) -> np.ndarray:
        u, v = (np.clip((p + 0.5) * 8 / SIZE - 0.5, 0, 7) for p in (column, row))
        (a, b), (s, t) = (int(u), int(v)), (u - int(u), v - int(v))
        a1, b1 = min(a + 1, 7), min(b + 1, 7)
        upper = features[:, b, a] * (1 - s) + features[:, b, a1] * s
        lower = features[:, b1, a] * (1 - s) + features[:, b1, a1] * s
        mixed = upper * (1 - t) + lower * t
        return mixed / np.linalg.norm(mixed)

    known = [
        feature((x + 0.5) * SIZE / pool.width - 0.5, (y + 0.5) * SIZE / pool.height - 0.5)
        for x, y in pool.labelled.tolist()
    ]
    phi = {i: np.mean([feature(cells[i][1], cells[i][0]) @ d for d in known]) for i in cover}
    ranked = sorted(cover, key=lambda i: (phi[i], i))
    first = {int(pool.superpixels[tuple(cells[i])]): i for i in reversed(ranked)}.values()
    return [place[i] for i in sorted(ranked, key=lambda i: i not in first)][:k]


@pytest.mark.parametrize(("height", "width"), [(90, 130), (64, 64)])
@pytest.mark.parametrize("k", [1, 3])
def test_diverse_picks_equal_the_naive_form(height: int, width: int, k: int) -> None:
    pool = make_pool(height, width)
    assert [tuple(point) for point in diversely(pool, k).xy.tolist()] == naive_diverse(pool, k)


def test_a_ranked_cover_holds_the_features_of_its_own_pixels_and_of_the_labelled_ones() -> None:
    pool, features = make_pool(64, 64), feature_map()
    cover = rank_diverse(pool, score_map(), features, 4, CONFIG, np.random.default_rng(0))
    rows, columns = cover.pick.cells
    assert len(rows) == 4 * CONFIG.cover_factor
    cells = np.stack([columns, rows], axis=1).astype(np.float64)
    assert np.array_equal(cover.features, sample_bilinear(features, cells, SIZE))
    known = (pool.labelled + 0.5) * SIZE / 64 - 0.5
    assert np.array_equal(cover.labelled, sample_bilinear(features, known, SIZE))
    assert np.array_equal(cover.first(3).xy, cover.pick.xy[:3])
    assert np.array_equal(cover.first(3).cells, (rows[:3], columns[:3]))


def test_of_two_alike_candidates_the_one_unlike_the_labelled_points_is_asked() -> None:
    """The left half has the features of the labelled point, the right half the opposite, and lower scores."""
    pool = dataclasses.replace(make_pool(32, 32, share=1.0, regions=False), labelled=np.array([[0, 0]]))
    features = np.ones((2, 8, 8), np.float32)
    features[:, :, 4:] = -1
    score = np.linspace(1, 0.9, SIZE * SIZE, dtype=np.float32).reshape(SIZE, SIZE)
    config = dataclasses.replace(CONFIG, top_percent=100.0)
    found = pick_diverse(pool, score, features, 3, config, np.random.default_rng(0))
    assert (found.xy[:, 0] >= 16).all()


def test_diverse_picks_are_candidates() -> None:
    pool = make_pool(90, 130)
    threshold = np.sort(score_map()[pool.free])[-int(SIZE * SIZE * 0.2)]
    assert (score_map()[diversely(pool, 8).cells] >= threshold).all()


def test_options_of_the_cover_change_the_picks() -> None:
    pool = make_pool(90, 130)
    options = (
        {},
        {"cover": "maxsum"},
        {"cover_space": "features"},
        {"cover_factor": 1},
        {"top_percent": 5.0},
    )
    picks = set()
    for option in options:
        config = dataclasses.replace(CONFIG, **option)
        found = pick_diverse(pool, score_map(), feature_map(), 6, config, np.random.default_rng(0))
        picks.add(str(found.xy.tolist()))
    assert len(picks) == len(options)


def test_a_flat_score_is_decided_by_the_seed_and_not_by_the_corner() -> None:
    pool = make_pool(96, 96, share=1.0)
    flat = np.zeros((SIZE, SIZE), np.float32)
    first = [pick_uncertain(pool, flat, 1, np.random.default_rng(seed)).xy[0] for seed in range(100)]
    assert len({tuple(point) for point in first}) > 80
    assert abs(np.mean(first) - 47.5) < 10
