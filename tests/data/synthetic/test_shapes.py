from collections.abc import Callable

import numpy as np
import pytest

from atal_ray.data.synthetic.shapes import (
    SHAPES,
    TEXTURES,
    Contours,
    Floats,
    band,
    coverage,
    ellipse,
    place,
    ring,
)
from atal_ray.seeding import rng


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_fit_the_unit_circle(shape: Callable[[np.random.Generator], Contours]) -> None:
    for seed in range(20):
        for points in shape(rng("shape", seed)):
            assert points.shape[1] == 2
            assert np.linalg.norm(points, axis=1).max() <= 1 + 1e-5


def test_coverage_is_the_area_of_the_outline() -> None:
    box = [np.array([[10, 5], [30, 5], [30, 20], [10, 20]], np.float32)]
    alpha = coverage(box, 40, 50)
    assert alpha.shape == (40, 50)
    assert alpha.sum() == pytest.approx(300, rel=0.05)
    assert alpha[12, 20] == 1
    assert alpha[12, 40] == 0


def test_a_ring_has_a_hole_and_place_moves_it() -> None:
    alpha = coverage(place(ring(rng("ring", 0)), (40, 20), 15, 0.3), 40, 60)
    assert alpha[20, 40] == 0
    columns, rows = (
        np.average(np.arange(60), weights=alpha.sum(0)),
        np.average(np.arange(40), weights=alpha.sum(1)),
    )
    assert (columns, rows) == pytest.approx((40, 20), abs=1)


def test_place_turns_and_scales() -> None:
    (points,) = ellipse(rng("ellipse", 0))
    (moved,) = place([points], (3, 4), 10, np.pi / 2)
    np.testing.assert_allclose(
        moved, np.stack([3 - 10 * points[:, 1], 4 + 10 * points[:, 0]], axis=1), atol=1e-4
    )


def test_a_band_goes_through_its_point_to_two_edges() -> None:
    for seed in range(10):
        alpha = coverage(band(rng("band", seed), (40, 30), 8, 60, 80), 60, 80)
        rim = np.concatenate([alpha[0], alpha[:, -1], alpha[-1][::-1], alpha[:, 0][::-1]]) > 0.5
        assert alpha[30, 40] == 1
        assert np.count_nonzero(rim & ~np.roll(rim, 1)) >= 2


@pytest.mark.parametrize("texture", TEXTURES)
def test_textures_are_finite_and_vary(texture: Callable[[np.random.Generator, int, int], Floats]) -> None:
    values = texture(rng("texture", 0), 50, 70)
    assert (values.shape, values.dtype) == ((50, 70), np.float32)
    assert 0.2 < values.std() < 1.2
    assert np.abs(values).max() < 4
    assert not np.array_equal(values, texture(rng("texture", 1), 50, 70))
