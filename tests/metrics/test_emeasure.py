import numpy as np
import pytest
from pairs import every_kind, many_seeds, normalised, random_pair

from atal_ray.metrics.emeasure import e_adaptive, e_curve, e_soft


def naive_e(binary: np.ndarray, mask: np.ndarray) -> float:
    """The matrix form of the paper, pixel by pixel."""
    pixels = mask.size
    if not mask.any():
        total = float((~binary).sum())
    elif mask.all():
        total = float(binary.sum())
    else:
        total = 0.0
        for taken, salient in zip(binary.ravel(), mask.ravel(), strict=True):
            a, b = float(taken) - binary.mean(), float(salient) - mask.mean()
            total += (2 * a * b / (a**2 + b**2 + np.spacing(1)) + 1) ** 2 / 4
    return total / (max(pixels - 1, 1) + np.spacing(1))


@every_kind
@many_seeds
def test_curve_is_the_matrix_form_at_each_threshold(seed: int, kind: str) -> None:
    saliency, mask = random_pair(seed, kind, largest=7)
    levels = np.floor(normalised(saliency) * 255)
    curve = e_curve(saliency, mask)
    for threshold in range(0, 256, 5):
        assert curve[threshold] == pytest.approx(naive_e(levels >= threshold, mask), rel=1e-12)


@every_kind
@many_seeds
def test_adaptive_and_soft_binarise_otherwise(seed: int, kind: str) -> None:
    saliency, mask = random_pair(seed, kind)
    x = normalised(saliency)
    assert e_adaptive(saliency, mask) == pytest.approx(naive_e(x >= min(2 * x.mean(), 1), mask), rel=1e-12)
    assert e_soft(saliency, mask) == pytest.approx(naive_e(saliency > 0, mask), rel=1e-12)


def test_by_hand() -> None:
    mask = np.array([[True, False]])
    assert e_curve(np.array([[255, 0]], np.uint8), mask)[1:].tolist() == pytest.approx(
        [2.0] * 255
    )  # N / (N - 1)
    assert e_curve(np.array([[0, 255]], np.uint8), mask)[1:].tolist() == pytest.approx([0.0] * 255)
    assert (
        e_adaptive(np.zeros((2, 2), np.uint8), np.zeros((2, 2), bool)) == 0
    )  # threshold 0 takes everything in
    assert e_curve(np.zeros((2, 2), np.uint8), np.zeros((2, 2), bool))[1] == pytest.approx(4 / 3)


@pytest.mark.parametrize("salient", [True, False])
def test_an_image_of_one_pixel_scores_between_0_and_1(salient: bool) -> None:
    mask = np.array([[salient]])
    assert e_curve(np.array([[255]], np.uint8), mask).tolist() == pytest.approx([float(salient)] * 256)
    assert e_adaptive(np.array([[255]], np.uint8), mask) == pytest.approx(float(salient))
