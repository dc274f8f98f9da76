"""The losses without labels against sums over pixels, one by one."""

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from atal_ray.training.pairwise_losses import local_coherence, scale_consistency, structural_similarity

SIDE = 24


@pytest.fixture
def draw() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def quarter(maps: torch.Tensor) -> np.ndarray:
    return interpolate(maps, scale_factor=0.25, mode="bilinear", align_corners=False).numpy()


def test_local_coherence_is_the_sum_over_pairs_of_near_pixels(draw: torch.Generator) -> None:
    saliency = torch.rand(2, 1, SIDE, SIDE, generator=draw, dtype=torch.float64)
    images = 0.2 * torch.rand(2, 3, SIDE, SIDE, generator=draw, dtype=torch.float64)
    p, colours = quarter(saliency), quarter(images)
    total, side = 0.0, SIDE // 4
    for b, y, x in np.ndindex(2, side, side):
        for v in range(max(0, y - 2), min(side, y + 3)):
            for u in range(max(0, x - 2), min(side, x + 3)):
                away = (v - y) ** 2 + (u - x) ** 2
                unlike = ((colours[b, :, v, u] - colours[b, :, y, x]) ** 2).sum()
                weight = math.exp(-away / (2 * 6**2) - unlike / (2 * 0.1**2))
                total += weight * abs(p[b, 0, v, u] - p[b, 0, y, x])
    assert local_coherence(saliency, images).item() == pytest.approx(total / (2 * side**2), rel=1e-9)


def test_a_map_pays_for_an_edge_where_the_image_has_none() -> None:
    image = torch.zeros(1, 3, SIDE, SIDE)
    image[..., SIDE // 2 :] = 1
    with_the_edge, without = torch.zeros(1, 1, SIDE, SIDE), torch.zeros(1, 1, SIDE, SIDE)
    with_the_edge[..., SIDE // 2 :] = 1
    without[:, :, SIDE // 2 :] = 1
    assert local_coherence(with_the_edge, image).item() < 1e-6
    assert local_coherence(without, image).item() > 0.1
    assert local_coherence(torch.full_like(without, 0.3), image).item() == 0


def test_structural_similarity_is_that_of_each_window(draw: torch.Generator) -> None:
    a, b = (torch.rand(1, 1, 5, 6, generator=draw, dtype=torch.float64) for _ in range(2))
    found = structural_similarity(a, b)[0, 0]
    for y, x in np.ndindex(5, 6):
        window = (0, 0, slice(max(0, y - 1), y + 2), slice(max(0, x - 1), x + 2))
        one, other = a[window], b[window]
        both = ((one - one.mean()) * (other - other.mean())).mean()
        numerator = (2 * one.mean() * other.mean() + 1e-4) * (2 * both + 9e-4)
        spread = one.var(correction=0) + other.var(correction=0)
        expected = numerator / ((one.mean() ** 2 + other.mean() ** 2 + 1e-4) * (spread + 9e-4))
        assert found[y, x].item() == pytest.approx(expected.item(), rel=1e-9)
    assert structural_similarity(a, a).numpy() == pytest.approx(1)


def test_scale_consistency_compares_the_smaller_image_with_the_smaller_map(draw: torch.Generator) -> None:
    images, sides = torch.rand(1, 3, 128, 128, generator=draw), []

    def brightness(smaller: torch.Tensor) -> torch.Tensor:
        sides.append(smaller.shape[-1])
        return smaller.mean(1, keepdim=True)

    alike = scale_consistency(images.mean(1, keepdim=True), images, brightness, 32)
    assert sides == [32], "0.3 of the side, to the nearest multiple"
    assert alike.item() == pytest.approx(0, abs=1e-6)
    other = scale_consistency(1 - images.mean(1, keepdim=True), images, brightness, 32)
    assert other.item() > 0.1
    scale_consistency(images[:, :1, :64, :64], images[..., :64, :64], brightness, 32)
    assert sides[-1] == 32, "at least one multiple"
