from math import exp, log
from typing import Any, get_args

import numpy as np
import pytest
import torch

from atal_ray.config.training import Loss
from atal_ray.errors import ConfigError, DataError
from atal_ray.training.dense_losses import cel, dense_loss, edge_weight, iou_loss, mean_bce, weighted_bce

SHAPE = (2, 9, 7)  # smaller than the window, which then sees the whole image and zeros around it


@pytest.fixture
def logits() -> torch.Tensor:
    values = torch.randn(2, 1, 9, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return values.requires_grad_()


@pytest.fixture
def targets() -> torch.Tensor:
    """Background, salient and soft pixels."""
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.choice([0.0, 1.0, 0.25, 0.8], size=SHAPE, p=[0.4, 0.4, 0.1, 0.1]))


def p(logits: torch.Tensor, image: int, y: int, x: int) -> float:
    return 1 / (1 + exp(-logits[image, 0, y, x].item()))


def naive_bce(logits: torch.Tensor, targets: torch.Tensor) -> np.ndarray:
    """Of each pixel."""
    result = np.zeros(SHAPE)
    for b, y, x in np.ndindex(*SHAPE):
        g, q = targets[b, y, x].item(), p(logits, b, y, x)
        result[b, y, x] = -g * log(q) - (1 - g) * log(1 - q)
    return result


def naive_weight(targets: np.ndarray) -> np.ndarray:
    result = np.zeros(targets.shape)
    for b, y, x in np.ndindex(*targets.shape):
        total = 0.0
        for v in range(max(0, y - 15), min(targets.shape[1], y + 16)):
            for u in range(max(0, x - 15), min(targets.shape[2], x + 16)):
                total += targets[b, v, u]
        result[b, y, x] = 1 + 5 * abs(total / 31**2 - targets[b, y, x])
    return result


def naive_iou(logits: torch.Tensor, targets: torch.Tensor, weight: np.ndarray) -> float:
    losses = []
    for b in range(SHAPE[0]):
        shared = either = 0.0
        for y, x in np.ndindex(*SHAPE[1:]):
            g, q, w = targets[b, y, x].item(), p(logits, b, y, x), weight[b, y, x]
            shared, either = shared + w * q * g, either + w * (q + g)
        losses.append(1 - (shared + 1) / (either - shared + 1))
    return sum(losses) / len(losses)


def naive_cel(logits: torch.Tensor, targets: torch.Tensor) -> float:
    missed = extra = predicted = true = 0.0
    for b, y, x in np.ndindex(*SHAPE):
        g, q = targets[b, y, x].item(), p(logits, b, y, x)
        extra, missed, predicted, true = extra + q - q * g, missed + g - q * g, predicted + q, true + g
    return (extra + missed) / (predicted + true + 1e-6)


def naive(logits: torch.Tensor, targets: torch.Tensor, kind: str) -> float:
    bce, weight = naive_bce(logits, targets), naive_weight(targets.numpy())
    weighted = sum((weight[b] * bce[b]).sum() / weight[b].sum() for b in range(SHAPE[0])) / SHAPE[0]
    return {
        "bce": bce.mean(),
        "bce+wiou": bce.mean() + naive_iou(logits, targets, weight),
        "wbce+wiou": weighted + naive_iou(logits, targets, weight),
        "bce+iou": bce.mean() + naive_iou(logits, targets, np.ones(SHAPE)),
        "bce+cel": bce.mean() + naive_cel(logits, targets),
    }[kind]


@pytest.mark.parametrize("kind", get_args(Loss))
def test_each_loss_equals_its_loop_summed_over_the_heads(
    logits: torch.Tensor, targets: torch.Tensor, kind: Any
) -> None:
    heads, weights = [logits, 2 * logits, -logits], [1.0, 0.5, 0.125]
    expected = sum(weight * naive(head, targets, kind) for head, weight in zip(heads, weights, strict=True))
    assert dense_loss(heads, targets, weights, kind).item() == pytest.approx(expected, abs=1e-12)
    assert len({round(naive(logits, targets, other), 6) for other in get_args(Loss)}) == 5


@pytest.mark.parametrize("side", [9, 40])
def test_edge_weight_equals_the_loop_with_zeros_outside(side: int) -> None:
    targets = np.random.default_rng(1).random((1, side, side - 2))
    np.testing.assert_allclose(
        edge_weight(torch.from_numpy(targets)).numpy(), naive_weight(targets), atol=1e-12
    )


def test_weight_is_one_inside_and_grows_at_edges_and_borders() -> None:
    targets = torch.zeros(1, 100, 100)
    targets[:, :, 50:] = 1
    weight = edge_weight(targets)[0]
    assert weight[50, 20].item() == pytest.approx(1)
    assert weight[50, 80].item() == pytest.approx(1, abs=1e-5)
    assert weight[50, 49].item() == pytest.approx(1 + 5 * 15 / 31, abs=1e-5)
    assert weight[50, 99].item() == pytest.approx(1 + 5 * 15 / 31, abs=1e-5)  # 15 of 31 columns lie outside


def test_a_weighted_scalar_bce_is_the_plain_mean(logits: torch.Tensor, targets: torch.Tensor) -> None:
    """F3Net's trap: a BCE that is already a mean loses its weight."""
    weight, scalar = edge_weight(targets), mean_bce(logits, targets)
    published = ((weight * scalar).sum((1, 2)) / weight.sum((1, 2))).mean() + iou_loss(
        logits, targets, weight
    )
    assert dense_loss([logits], targets, [1.0], "bce+wiou").item() == pytest.approx(
        published.item(), abs=1e-12
    )
    meant = dense_loss([logits], targets, [1.0], "wbce+wiou").item()
    assert abs(meant - published.item()) > 1e-3
    same = torch.full_like(weight, 3.0)
    assert weighted_bce(logits, targets, same).item() == pytest.approx(scalar.item(), abs=1e-12)


@pytest.mark.parametrize("kind", get_args(Loss))
def test_the_mask_itself_costs_almost_nothing_and_an_empty_one_is_finite(kind: Any) -> None:
    mask = torch.zeros(2, 32, 32)
    for targets in (mask, mask.clone().index_fill_(2, torch.arange(10, 20), 1.0)):
        sure = (40 * (2 * targets - 1))[:, None].requires_grad_()
        assert dense_loss([sure], targets, [1.0], kind).item() == pytest.approx(0, abs=1e-6)
        unsure = torch.zeros_like(sure).requires_grad_()
        dense_loss([unsure], targets, [1.0], kind).backward()
        assert unsure.grad is not None
        assert torch.isfinite(unsure.grad).all()
        assert (unsure.grad[targets[:, None] == 1] < 0).all()
        assert (unsure.grad[targets[:, None] == 0] > 0).all()


def test_refuses_other_shapes_and_missing_weights(logits: torch.Tensor, targets: torch.Tensor) -> None:
    for loss in (mean_bce, iou_loss, cel):
        with pytest.raises(DataError, match="do not match"):
            loss(logits, targets[:1])
    with pytest.raises(DataError, match="do not match"):
        weighted_bce(logits[:, 0], targets, targets)
    with pytest.raises(ConfigError, match="2 heads and 1 weights"):
        dense_loss([logits, logits], targets, [1.0], "bce+cel")


@pytest.mark.parametrize("kind", get_args(Loss))
def test_by_confidence_is_as_if_each_pixel_stood_there_so_often(kind: Loss, logits: torch.Tensor) -> None:
    """Pixels without confidence might as well not be there; a loss that is a mean does not know the scale."""
    rng = np.random.default_rng(1)
    labels = torch.from_numpy(rng.choice([0.0, 1.0], size=SHAPE))
    unknown = torch.from_numpy(rng.random(SHAPE) < 0.3)
    soft = torch.where(unknown, 0.5, labels)
    logits = logits.detach()
    found = dense_loss([logits], soft, [1.0], kind, by_confidence=True)
    moved = torch.where(unknown[:, None], logits + 3, logits)
    assert dense_loss([moved], soft, [1.0], kind, by_confidence=True).item() == pytest.approx(found.item())
    right = torch.where(labels[:, None] > 0, 40.0, -40.0).to(logits)
    assert dense_loss([right], soft, [1.0], kind, by_confidence=True).item() == pytest.approx(0, abs=1e-5)
    assert found.item() > 0.1
    if kind == "bce":
        known = ~unknown
        expected = torch.nn.functional.binary_cross_entropy_with_logits(logits[:, 0][known], labels[known])
        assert found.item() == pytest.approx(expected.item())


def test_a_confidence_is_a_weight(logits: torch.Tensor) -> None:
    logits = logits.detach()
    soft = torch.full(SHAPE, 0.5, dtype=torch.float64)
    soft[0, 0, 0], soft[1, 3, 2] = 1.0, 0.25
    weight = (0.5 - 1 / 255) / (1 - 1 / 255)
    each = naive_bce(logits, torch.where(soft == 0.25, 0.0, soft))
    expected = (each[0, 0, 0] + weight * each[1, 3, 2]) / (1 + weight)
    assert dense_loss([logits], soft, [1.0], "bce", by_confidence=True).item() == pytest.approx(expected)


def test_full_masks_by_confidence_are_full_masks(logits: torch.Tensor) -> None:
    labels = torch.from_numpy(np.random.default_rng(2).choice([0.0, 1.0], size=SHAPE))
    for kind in get_args(Loss):
        plain = dense_loss([logits], labels, [1.0], kind).item()
        assert dense_loss([logits], labels, [1.0], kind, by_confidence=True).item() == pytest.approx(plain)
