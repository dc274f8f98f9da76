from math import exp, log

import numpy as np
import pytest
import torch

from atal_ray.errors import ConfigError, DataError
from atal_ray.training.losses import IGNORED, masked_bce, point_loss


@pytest.fixture
def logits() -> torch.Tensor:
    values = torch.randn(2, 1, 5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return values.requires_grad_()


@pytest.fixture
def labels() -> torch.Tensor:
    values = np.random.default_rng(0).choice([0, 1, IGNORED], size=(2, 5, 4), p=[0.2, 0.2, 0.6])
    return torch.from_numpy(values.astype(np.uint8))


def naive(logits: torch.Tensor, labels: torch.Tensor) -> float:
    total, count = 0.0, 0
    for b, y, x in np.ndindex(*labels.shape):
        label = int(labels[b, y, x])
        if label != IGNORED:
            p = 1 / (1 + exp(-logits[b, 0, y, x].item()))
            total, count = total - log(p if label else 1 - p), count + 1
    return total / count


def test_equals_the_loop(logits: torch.Tensor, labels: torch.Tensor) -> None:
    assert masked_bce(logits, labels).item() == pytest.approx(naive(logits, labels), abs=1e-12)


def test_ignored_pixels_have_no_gradient(logits: torch.Tensor, labels: torch.Tensor) -> None:
    masked_bce(logits, labels).backward()
    assert ((logits.grad[:, 0] != 0) == (labels != IGNORED)).all()


def test_nothing_labelled_is_a_zero_with_a_graph(logits: torch.Tensor, labels: torch.Tensor) -> None:
    loss = masked_bce(logits, torch.full_like(labels, IGNORED))
    assert loss.item() == 0
    loss.backward()
    assert (logits.grad == 0).all()


def test_point_loss_is_the_weighted_sum_of_heads(logits: torch.Tensor, labels: torch.Tensor) -> None:
    heads, weights = [logits, 2 * logits, -logits], [1.0, 0.5, 0.25]
    expected = sum(weight * naive(head, labels) for head, weight in zip(heads, weights, strict=True))
    assert point_loss(heads, labels, weights).item() == pytest.approx(expected, abs=1e-12)


def test_refuses_other_shapes_and_missing_weights(logits: torch.Tensor, labels: torch.Tensor) -> None:
    with pytest.raises(DataError, match="do not match"):
        masked_bce(logits, labels[:, None])
    with pytest.raises(DataError, match="do not match"):
        masked_bce(logits, labels[:1])
    with pytest.raises(ConfigError, match="2 heads and 1 weights"):
        point_loss([logits, logits], labels, [1.0])
