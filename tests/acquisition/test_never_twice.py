"""No query asks for a pixel that is labelled, or for one twice, whatever the image and the maps."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from atal_ray.acquisition.features import sample_bilinear
from atal_ray.acquisition.grid import original_pixels
from atal_ray.acquisition.pick import Pick, PixelPool, pick_diverse, pick_random, pick_uncertain
from atal_ray.config import QueryConfig
from atal_ray.errors import DivergedError
from atal_ray.labels.regions import covered

SIZE = 8
LEVELS = [0.0, 0.5, 2.0]  # so that most scores are tied
WILD = [np.nan, np.inf, -np.inf]
FEATURES = {
    "random": lambda rng: rng.normal(size=(3, 4, 4)),
    "zero": lambda _: np.zeros((3, 4, 4)),
    "constant": lambda _: np.full((3, 4, 4), 0.5),
    "huge": lambda rng: rng.choice([-3e38, 3e38], (3, 4, 4)),
    "half precision": lambda rng: (
        rng.normal(size=(3, 4, 4)).astype(np.float16) * np.float16(6e4)
    ),  # to infinity
    "one NaN": lambda rng: np.where(np.arange(48).reshape(3, 4, 4) == rng.integers(48), np.nan, 1.0),
    "all infinite": lambda _: np.full((3, 4, 4), np.inf),
}


@dataclass(frozen=True)
class Asked:
    pool: PixelPool
    taken: np.ndarray
    """The pixels that points cover [H, W]."""
    score: np.ndarray
    features: np.ndarray
    config: QueryConfig
    k: int


@st.composite
def asked(draw):
    """An image of a pixel or more, points in it, and what a network may say of it."""
    height, width = draw(st.integers(1, 24)), draw(st.integers(1, 24))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    count = draw(st.integers(0, min(6, height * width)))
    pixels = rng.permutation(height * width)[:count]
    xy = np.stack([pixels % width, pixels // width], axis=1).astype(np.int32)
    y, x = np.indices((height, width))
    regions = (y // 5 * 5 + x // 5).astype(np.int32) if draw(st.booleans()) else None
    taken = covered(regions, xy, (height, width))
    grid = original_pixels(SIZE, height, width)
    kept, under = np.ix_(grid.cell_rows, grid.cell_columns), np.ix_(grid.rows, grid.columns)
    free, superpixels = np.zeros((SIZE, SIZE), bool), np.full((SIZE, SIZE), -1, np.int32)
    free[kept] = ~taken[under]
    if regions is not None:
        superpixels[kept] = regions[under]
    score = rng.choice(LEVELS, (SIZE, SIZE)).astype(np.float32)
    kind = draw(st.sampled_from(["tied", "constant", "wild"]))
    if kind == "constant":
        score[:] = LEVELS[1]
    elif kind == "wild":
        score[tuple(rng.integers(SIZE, size=2))] = draw(st.sampled_from(WILD))
    with np.errstate(over="ignore"):
        features = FEATURES[draw(st.sampled_from(sorted(FEATURES)))](rng)
        features = features if features.dtype == np.float16 else features.astype(np.float32)
    config = QueryConfig(
        top_percent=draw(st.sampled_from([1.0, 30.0, 100.0])),
        cover=draw(st.sampled_from(["kcenter", "maxsum"])),
        cover_space=draw(st.sampled_from(["image", "features", "both"])),
        cover_factor=draw(st.sampled_from([1, 10])),
        similarity=draw(st.sampled_from(["mean", "nearest"])),
    )
    return Asked(
        PixelPool(height, width, free, superpixels, xy),
        taken,
        score,
        features,
        config,
        draw(st.integers(1, 5)),
    )


def assert_new(found: Pick, case: Asked) -> None:
    """As many as are wanted or left, each a pixel of the image, none covered, none twice."""
    pool = case.pool
    assert len(found.xy) == min(case.k, int(pool.free.sum()))
    assert len({tuple(point) for point in found.xy.tolist()}) == len(found.xy)
    assert (found.xy >= 0).all()
    assert (found.xy < [pool.width, pool.height]).all()
    assert not case.taken[found.xy[:, 1], found.xy[:, 0]].any()


@examples
@given(asked())
@pytest.mark.filterwarnings("error")  # NaN and infinity are found before anything is computed with them
def test_no_pixel_is_asked_for_twice(case):
    rng = np.random.default_rng(0)
    assert_new(pick_random(case.pool, case.k, rng), case)
    maps_finite, all_finite = np.isfinite(case.score).all(), np.isfinite(case.features).all()
    pickers = {
        "uncertain": lambda: pick_uncertain(case.pool, case.score, case.k, rng),
        "diverse": lambda: pick_diverse(case.pool, case.score, case.features, case.k, case.config, rng),
    }
    for name, pick in pickers.items():
        try:
            assert_new(pick(), case)
        except DivergedError:
            assert not (maps_finite and (all_finite or name == "uncertain"))
        else:
            grid = case.pool.grid
            assert np.isfinite(case.score[np.ix_(grid.cell_rows, grid.cell_columns)]).all()


def test_features_that_are_not_finite_are_refused_where_they_are_used() -> None:
    features = np.ones((2, 4, 4), np.float32)
    features[1, 0, 0] = np.inf
    far, near = np.array([[7.0, 7.0]]), np.array([[0.0, 0.0]])
    assert np.isfinite(sample_bilinear(features, far, SIZE)).all()
    with pytest.raises(DivergedError, match=r"not finite.*lower train\.lr-max"):
        sample_bilinear(features, near, SIZE)


def test_equal_features_give_as_many_points_in_every_space() -> None:
    pool = PixelPool(8, 8, np.ones((8, 8), bool), np.full((8, 8), -1, np.int32), np.empty((0, 2), np.int32))
    score, features = np.zeros((8, 8), np.float32), np.zeros((3, 4, 4), np.float32)
    for space in ("image", "features", "both"):
        config = replace(QueryConfig(), cover_space=space)
        found = pick_diverse(pool, score, features, 60, config, np.random.default_rng(0))
        assert len({tuple(point) for point in found.xy.tolist()}) == 60
