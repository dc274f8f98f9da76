"""Every shared metric against PySODMetrics 1.6.2, on real and on adversarial pairs; where the two differ, a
test shows why it is right.
"""

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from pairs import normalised, random_pair

from atal_ray.data.images import read_mask
from atal_ray.evaluation.mask_folder import find_masks
from atal_ray.metrics.accumulator import Accumulator
from atal_ray.metrics.scores import Scores, score

reference = pytest.importorskip("py_sod_metrics", reason="needs pysodmetrics: make .venv/compared")
pytestmark = pytest.mark.filterwarnings(
    "ignore:This class will be removed", "ignore:Mean of empty slice", "ignore:invalid value"
)

TOLERANCE = 1e-9
MAPS = ("blurred", "noisy", "displaced and faint", "centre prior")


class Reference:
    """Five classes of PySODMetrics as one; curves are turned round, to ascending thresholds."""

    def __init__(self) -> None:
        self.mae, self.s, self.e = reference.MAE(), reference.Smeasure(), reference.Emeasure()
        self.f, self.weighted = reference.Fmeasure(), reference.WeightedFmeasure()

    def add(self, saliency: np.ndarray, mask: np.ndarray) -> Scores:
        """What it makes of an image, by our names; a 16-bit map goes in as normalised floats, as it only
        stretches 8 bits.
        """
        for metric in (self.mae, self.s, self.e, self.f, self.weighted):
            if saliency.dtype == np.uint8:
                metric.step(saliency, mask.astype(np.uint8) * 255)
            else:
                metric.step(
                    normalised(saliency) if saliency.dtype == np.uint16 else saliency, mask, normalize=False
                )
        values = {
            "mae": self.mae.maes[-1],
            "s_measure": self.s.sms[-1],
            "weighted_f": self.weighted.weighted_fms[-1],
            "e_adaptive": self.e.adaptive_ems[-1],
            "f_adaptive": self.f.adaptive_fms[-1],
            "e_curve": self.e.changeable_ems[-1][::-1],
            "f_curve": self.f.changeable_fms[-1][::-1],
            "precision": self.f.precisions[-1][::-1],
            "recall": self.f.recalls[-1][::-1],
        }
        return {name: np.atleast_1d(value) for name, value in values.items()}


def differing(saliency: np.ndarray, mask: np.ndarray) -> set[str]:
    """Metrics of which the two say something else; NaN is something else."""
    return apart(score(saliency, mask), Reference().add(saliency, mask))


def apart(ours: Scores, theirs: Scores) -> set[str]:
    return {name for name, values in theirs.items() if not np.all(np.abs(ours[name] - values) <= TOLERANCE)}


def real_map(kind: str, mask: np.ndarray, seed: int) -> np.ndarray:
    """What a network might make of a mask: uint8 [H, W]."""
    rng, (height, width) = np.random.default_rng(seed), mask.shape
    soft = cv2.GaussianBlur(mask.astype(np.float64), (0, 0), 6)
    if kind == "noisy":
        clouds = cv2.GaussianBlur(rng.random(mask.shape), (0, 0), 12)
        soft = (
            0.5 * soft
            + 0.5 * (clouds - clouds.min()) / np.ptp(clouds)
            + 0.05 * rng.standard_normal(mask.shape)
        )
    elif kind == "displaced and faint":
        soft = np.round(5 * np.roll(soft, (height // 8, width // 6), axis=(0, 1))) * 7 / 255
    elif kind == "centre prior":
        rows, columns = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
        soft = np.exp(-3 * (rows**2 + columns**2))
    return np.rint(soft.clip(0, 1) * 255).astype(np.uint8)


@pytest.mark.parametrize("pairs", [100, pytest.param(300, marks=pytest.mark.slow)])
def test_real_pairs_and_their_means_are_equal(shared: Path, pairs: int) -> None:
    ours, theirs = Accumulator(), Reference()
    paths = list(find_masks(shared / "data" / "ECSSD").masks.values())[: 3 * pairs : 3]
    for i, path in enumerate(paths):
        mask = read_mask(path).astype(bool)
        saliency = real_map(MAPS[i % len(MAPS)], mask, seed=i)
        assert not apart(ours.add(saliency, mask), theirs.add(saliency, mask)), path.name
    assert ours.images == pairs
    means, f = ours.summary(), theirs.f.get_results()
    e, weighted = theirs.e.get_results()["em"], theirs.weighted.get_results()["wfm"]
    found = [means.mae, means.s_measure, means.weighted_f, means.e_adaptive, means.e_mean, means.e_max]
    found += [means.f_adaptive, means.f_mean, means.f_max, *means.precision, *means.recall]
    expected = [
        theirs.mae.get_results()["mae"],
        theirs.s.get_results()["sm"],
        weighted,
        e["adp"],
        e["curve"].mean(),
        e["curve"].max(),
    ]
    expected += [
        f["fm"]["adp"],
        f["fm"]["curve"].mean(),
        f["fm"]["curve"].max(),
        *f["pr"]["p"][::-1],
        *f["pr"]["r"][::-1],
    ]
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)


SHAPE = (24, 31)
ROWS, COLUMNS = np.mgrid[: SHAPE[0], : SHAPE[1]]
NOISE = np.random.default_rng(7).integers(0, 256, SHAPE).astype(np.uint8)
DEEP = np.random.default_rng(8).integers(0, 65_536, SHAPE).astype(np.uint16)
REAL = np.random.default_rng(9).random(SHAPE)
EMPTY, FULL = np.zeros(SHAPE, bool), np.ones(SHAPE, bool)
DISC = np.hypot(ROWS - 10, COLUMNS - 17) < 6
FRAME = (ROWS % 23 < 2) | (COLUMNS % 30 < 2)
FINE, COARSE = (ROWS + COLUMNS) % 2 == 0, (ROWS // 4 + COLUMNS // 4) % 2 == 0


def pixel(row: int, column: int, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[row, column] = True
    return mask


def constant(level: float, dtype: type = np.uint8) -> np.ndarray:
    return np.full(SHAPE, level, dtype)


ADVERSARIAL = {
    "empty mask": (NOISE, EMPTY),
    "full mask": (NOISE, FULL),
    "empty map": (constant(0), DISC),
    "full map": (constant(255), DISC),
    "empty map and mask": (constant(0), EMPTY),
    "empty map, full mask": (constant(0), FULL),
    "full map, empty mask": (constant(255), EMPTY),
    "full map and mask": (constant(255), FULL),
    "constant map": (constant(64), DISC),
    "constant map, full mask": (constant(77), FULL),
    "one pixel object": (NOISE, pixel(9, 4)),
    "one pixel object in a corner": (NOISE, pixel(0, 0)),
    "all but one pixel": (NOISE, ~pixel(9, 4)),
    "objects in two corners": (NOISE, pixel(0, 0) | pixel(23, 30)),
    "far from the object": (np.tile(NOISE, (1, 23)), pixel(3, 2, (24, 713))),
    "touching every border": (NOISE, FRAME),
    "all but the border": (NOISE, ~FRAME),
    "binary map": (np.roll(DISC, 3, axis=1).astype(np.uint8) * 255, DISC),
    "its own mask": (FRAME.astype(np.uint8) * 255, FRAME),
    "the wrong way round": ((~DISC).astype(np.uint8) * 255, DISC),
    "map of 0 and 1": (DISC.astype(np.uint8), COARSE),
    "faint map": (NOISE // 86 + np.uint8(29), DISC),
    "fine checkerboard": (NOISE, FINE),
    "coarse checkerboard": (NOISE, COARSE),
    "checkerboards": (COARSE.astype(np.uint8) * 200 + np.uint8(20), FINE),
    "two checkerboards out of step": ((~FINE).astype(np.uint8) * 255, FINE),
    "16 bits": (DEEP, DISC),
    "faint in 16 bits": (DEEP % 11 + np.uint16(40_000), DISC),
    "constant in 16 bits": (constant(16_384, np.uint16), DISC),
    "bright in 16 bits, full mask": (DEEP // 2 + np.uint16(32_000), FULL),
    "floats": (REAL, DISC),
    "floats, empty mask": (REAL, EMPTY),
    "floats, checkerboard": (REAL, COARSE),
    "faint floats": (REAL / 1000, FRAME),
    "floats near one": (1 - REAL / 1000, DISC),
    "binary floats": (COARSE.astype(np.float64), DISC),
    "constant floats": (constant(0.5, np.float64), DISC),
}


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_adversarial_pairs_are_equal(name: str) -> None:
    assert differing(*ADVERSARIAL[name]) == set()


@pytest.mark.parametrize("span", [3, 5, 15, 17, 51, 85, 150, 254])
def test_levels_whose_floor_is_a_matter_of_rounding_are_equal(span: int) -> None:
    levels = np.arange(span + 1, dtype=np.uint8)
    for lowest in {0, 1, 255 - span}:
        assert (
            differing(np.tile(levels + np.uint8(lowest), (3, 1)), np.tile(levels % 3 == 0, (3, 1))) == set()
        )


def splits_off_nothing(mask: np.ndarray) -> bool:
    """Whether the centroid lies in the last row or column, so that the quadrants beyond it have no pixel."""
    return (
        bool(mask.any())
        and not mask.all()
        and any(round(c.mean()) + 1 == n for c, n in zip(np.nonzero(mask), mask.shape, strict=True))
    )


@pytest.mark.parametrize("shape", [(1, 2), (1, 7), (7, 1), (2, 2), (3, 2)])
def test_tiny_images_differ_only_where_a_quadrant_is_empty(shape: tuple[int, int]) -> None:
    pixels = shape[0] * shape[1]
    levels = np.linspace(3, 250, pixels).astype(np.uint8).reshape(shape)
    for code in range(2**pixels):
        mask = (code >> np.arange(pixels) & 1).astype(bool).reshape(shape)
        assert differing(levels, mask) == ({"s_measure"} if splits_off_nothing(mask) else set())


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float64"])
@pytest.mark.parametrize("seed", range(40))
def test_random_pairs_differ_only_where_a_quadrant_is_empty_or_a_level_meets_the_threshold(
    seed: int, kind: str
) -> None:
    saliency, mask = random_pair(5 * seed + 1, kind, largest=20)
    levels = saliency.astype(np.int64) - saliency.min() if kind != "float64" else saliency
    left_to_rounding = (
        {"f_adaptive", "e_adaptive"} if (levels * levels.size == 2 * levels.sum()).any() else set()
    )
    assert differing(saliency, mask) - left_to_rounding == (
        {"s_measure"} if splits_off_nothing(mask) else set()
    )


def test_an_empty_quadrant_makes_the_reference_nan() -> None:
    mask = np.array([[0, 0, 0], [1, 1, 0]], bool)  # a perfect map scores 1
    saliency = mask.astype(np.uint8) * 255
    assert differing(saliency, mask) == {"s_measure"}
    assert np.isnan(Reference().add(saliency, mask)["s_measure"][0])
    assert score(saliency, mask)["s_measure"][0] == pytest.approx(1, abs=TOLERANCE)


@pytest.mark.parametrize(("level", "lost"), [(50, False), (51, True), (52, True), (53, False)])
def test_rounding_costs_the_reference_constant_quadrants(level: int, lost: bool) -> None:
    mask = np.array(
        [[1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0]], bool
    )  # four quadrants of three pixels: map and mask constant on each
    saliency = np.full(mask.shape, level, np.uint8)
    x = level / 255
    objects = (2 * x / (x**2 + 1) + 2 * (1 - x) / ((1 - x) ** 2 + 1)) / 2
    assert score(saliency, mask)["s_measure"][0] == pytest.approx(0.5 * objects + 0.5, abs=TOLERANCE)
    assert Reference().add(saliency, mask)["s_measure"][0] == pytest.approx(
        0.5 * objects + (0 if lost else 0.5), abs=TOLERANCE
    )


def test_the_order_of_pixels_decides_the_adaptive_f_of_the_reference() -> None:
    ordered, mixed = np.array([[4, 5, 0], [0, 1, 2]], np.uint8), np.array([[0, 4, 0], [5, 2, 1]], np.uint8)
    for saliency in (ordered, mixed):  # twice the mean is 4, and the object is all that reaches it
        assert score(saliency, saliency >= 4)["f_adaptive"][0] == pytest.approx(1, abs=TOLERANCE)
        assert score(saliency, saliency >= 4)["e_adaptive"][0] == pytest.approx(6 / 5, abs=TOLERANCE)
    assert differing(ordered, ordered >= 4) == set()
    assert differing(mixed, mixed >= 4) == {"f_adaptive", "e_adaptive"}
    assert Reference().add(mixed, mixed >= 4)["f_adaptive"][0] == pytest.approx(1.3 * 0.5 / (0.3 + 0.5))


def test_rounding_hides_an_object_on_half_of_the_image_from_the_adaptive_f_of_the_reference() -> None:
    saliency = np.array(
        [[0.1, 0.1, 0.0], [0.0, 0.0, 0.1]]
    )  # three times 0.1 is more than 0.3 in floating point
    assert differing(saliency, saliency > 0) == {"f_adaptive", "e_adaptive"}
    assert score(saliency, saliency > 0)["f_adaptive"][0] == pytest.approx(1, abs=TOLERANCE)
    assert Reference().add(saliency, saliency > 0)["f_adaptive"][0] == 0


def test_the_reference_computes_single_precision_in_single_precision() -> None:
    narrow = REAL.astype(np.float32)
    wide = narrow.astype(np.float64)
    assert {"mae", "s_measure"} <= differing(narrow, DISC)
    assert differing(wide, DISC) == set()
    assert not apart(score(narrow, DISC), score(wide, DISC))
    exact = (
        sum(
            abs(Fraction(x) - int(g))
            for x, g in zip(wide.ravel().tolist(), DISC.ravel().tolist(), strict=True)
        )
        / DISC.size
    )
    assert score(narrow, DISC)["mae"][0] == pytest.approx(float(exact), abs=1e-15)


def test_the_reference_divides_by_nearly_0_on_one_pixel() -> None:
    saliency, mask = np.array([[255]], np.uint8), np.array([[True]])
    assert differing(saliency, mask) == {"e_curve", "e_adaptive"}
    assert Reference().add(saliency, mask)["e_curve"][0] == pytest.approx(
        1 / np.spacing(1)
    )  # 1 / (N - 1 + eps)
    assert score(saliency, mask)["e_curve"][0] == pytest.approx(1, abs=TOLERANCE)
