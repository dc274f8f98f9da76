from fractions import Fraction
from math import sqrt

import numpy as np
import pytest
from pairs import many_seeds, random_pair

from atal_ray.metrics.smeasure import s_measure

Pixels = list[tuple[Fraction, int]]


def mean(values: list[Fraction]) -> Fraction:
    return sum(values, Fraction(0)) / len(values)


def covariance(a: list[Fraction], b: list[Fraction]) -> Fraction:
    total = Fraction(0)
    for x, y in zip(a, b, strict=True):
        total += (x - mean(a)) * (y - mean(b))
    return total / max(len(a) - 1, 1)


def naive_uniformity(values: list[Fraction]) -> float:
    return float(2 * mean(values)) / (float(mean(values) ** 2 + 1) + sqrt(covariance(values, values)))


def naive_similarity(pixels: Pixels) -> Fraction:
    x, g = [value for value, _ in pixels], [Fraction(salient) for _, salient in pixels]
    upper = 4 * mean(x) * mean(g) * covariance(x, g)
    lower = (mean(x) ** 2 + mean(g) ** 2) * (covariance(x, x) + covariance(g, g))
    if upper == 0:
        return Fraction(int(lower == 0))
    return upper / lower


def naive_s_measure(saliency: np.ndarray, mask: np.ndarray) -> float:
    """Pixel by pixel in rational numbers, so that no rounding decides a case."""
    values = [[Fraction(value.item()) for value in row] for row in saliency]
    if saliency.dtype.kind != "f":
        low, high = min(map(min, values)), max(map(max, values))
        offset, span = (low, high - low) if high > low else (0, int(np.iinfo(saliency.dtype).max))
        values = [[(value - offset) / span for value in row] for row in values]
    height, width = mask.shape
    pixels = {(r, c): (values[r][c], int(mask[r, c])) for r in range(height) for c in range(width)}
    x = [value for value, _ in pixels.values()]
    share = Fraction(int(mask.sum()), mask.size)
    if share in (0, 1):
        return float(mean(x) if share else 1 - mean(x))
    salient = [value for value, inside in pixels.values() if inside]
    background = [1 - value for value, inside in pixels.values() if not inside]
    objects = float(share) * naive_uniformity(salient) + float(1 - share) * naive_uniformity(background)
    row = round(mean([Fraction(r) for (r, _), (_, inside) in pixels.items() if inside])) + 1
    column = round(mean([Fraction(c) for (_, c), (_, inside) in pixels.items() if inside])) + 1
    regions = Fraction(0)
    for below in (False, True):
        for right in (False, True):
            part = [
                pixel for (r, c), pixel in pixels.items() if (r >= row) == below and (c >= column) == right
            ]
            if part:
                regions += naive_similarity(part) * Fraction(len(part), mask.size)
    return max(0.0, 0.5 * objects + 0.5 * float(regions))


@pytest.mark.parametrize("seed", range(30))
def test_s_measure_equals_the_pixel_by_pixel_form(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 9, 2))
    saliency = rng.integers(rng.integers(0, 100), rng.integers(101, 256), shape).astype(np.uint8)
    mask = rng.random(shape) < rng.random()
    if seed % 3 == 0:
        saliency[: shape[0] // 2] = saliency[0, 0]
    assert s_measure(saliency, mask) == pytest.approx(naive_s_measure(saliency, mask), abs=1e-12)


@pytest.mark.parametrize("kind", ["uint16", "float32", "float64"])
@many_seeds
def test_s_measure_of_other_maps_equals_the_pixel_by_pixel_form(seed: int, kind: str) -> None:
    saliency, mask = random_pair(seed, kind, largest=8)
    assert s_measure(saliency, mask) == pytest.approx(naive_s_measure(saliency, mask), abs=1e-9)


@pytest.mark.parametrize(
    ("saliency", "mask", "expected"),
    [
        ([[0, 51]], [[0, 0]], 0.5),  # empty mask: 1 - mean
        ([[0, 51, 51, 51]], [[1, 1, 1, 1]], 0.75),  # full mask: mean
        ([[51, 51]], [[0, 0]], 0.8),  # a constant map is not stretched
        ([[51, 51]], [[1, 1]], 0.2),
        ([[0, 0]], [[0, 0]], 1.0),
        ([[255, 0], [0, 255]], [[1, 0], [0, 1]], 1.0),
        (
            [[0, 255], [255, 0]],
            [[1, 0], [0, 1]],
            0.5,
        ),  # the object term is 0; four quadrants of one pixel score 1 each
        ([[255, 255, 0]], [[0, 0, 1]], 0.0),  # one quadrant, negative covariance: floored
        (
            [[0, 51, 255]],
            [[0, 0, 1]],
            0.5 * (1 / 3 + 2 / 3 * 1.8 / (1.81 + sqrt(0.02)))
            + 0.5 * 0.16 / ((0.16 + 1 / 9) * (0.28 + 1 / 3)),
        ),
    ],
)
def test_s_measure_by_hand(saliency: list[list[int]], mask: list[list[int]], expected: float) -> None:
    assert s_measure(np.array(saliency, np.uint8), np.array(mask, bool)) == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize("level", range(1, 255, 23))
def test_constant_quadrants_never_depend_on_rounding(level: int) -> None:
    """Constant map, mask of one row: the quadrant above the split has a varying mask, those below score 1."""
    saliency, mask = np.full((9, 7), level, np.uint8), np.zeros((9, 7), bool)
    mask[2] = True
    assert s_measure(saliency, mask) == pytest.approx(naive_s_measure(saliency, mask), abs=1e-14)
