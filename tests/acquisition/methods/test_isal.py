"""ISAL: the influence of a pixel against retraining the head with and without it."""

import numpy as np
import pytest
import torch
from round_data import SIZE, InMemory, toys
from torch.nn.functional import interpolate

from atal_ray.acquisition.methods.isal import (
    HeadSums,
    Influence,
    InfluenceConfig,
    damped,
    head_inputs,
    head_of,
    weights_of,
)
from atal_ray.acquisition.seen import Seen
from atal_ray.errors import ConfigError

RNG = np.random.default_rng(0)
D, M = 4, 60


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def trained(vectors: np.ndarray, labels: np.ndarray, weights: np.ndarray, ridge: float) -> np.ndarray:
    """Minimum of the weighted mean of the logistic loss plus ridge / 2 |w|^2, by Newton's method."""
    w = np.zeros(D)
    for _ in range(50):
        p = sigmoid(vectors @ w)
        gradient = (weights * (p - labels)) @ vectors / M + ridge * w
        hessian = (vectors * (weights * p * (1 - p))[:, None]).T @ vectors / M + ridge * np.eye(D)
        w = w - np.linalg.solve(hessian, gradient)
    return w


def test_it_is_the_change_of_the_loss_by_retraining() -> None:
    vectors = RNG.normal(size=(M, D))
    labels = (RNG.random(M) < sigmoid(vectors @ np.array([1.0, -2, 0.5, 0]))).astype(np.uint8)
    ridge, reference = 0.05, np.arange(M) < 20
    w = trained(vectors, labels, np.ones(M), ridge)
    sums = HeadSums(D)
    sums.add(vectors, labels, w, reference)
    s = np.linalg.solve(sums.hessian / M + ridge * np.eye(D), sums.gradient)

    def loss_of_reference(weights: np.ndarray) -> float:
        p = sigmoid(vectors[reference] @ weights)
        return float(-np.log(np.where(labels[reference] == 1, p, 1 - p)).sum())

    step = 1e-4
    for _ in range(5):
        pixel = RNG.normal(size=D)
        p = sigmoid(pixel @ w)
        label = p > 0.5
        influence = -(p - label) * (pixel @ s) / M
        more = trained_with(vectors, labels, pixel, label, step, ridge)
        change = (loss_of_reference(more) - loss_of_reference(w)) / step
        assert change == pytest.approx(influence, rel=1e-2, abs=1e-6)


def trained_with(
    vectors: np.ndarray, labels: np.ndarray, pixel: np.ndarray, label: bool, step: float, ridge: float
) -> np.ndarray:
    """The head trained with one more pixel of the weight `step`."""
    weights = np.append(np.ones(M), step)
    return trained(np.vstack([vectors, pixel]), np.append(labels, label), weights, ridge)


def test_the_head_with_s_in_place_of_its_weights_is_the_projection() -> None:
    data = InMemory()
    (network,) = data.networks
    score = Influence(InfluenceConfig(reference=1.0))
    score.state = score.fit(data)
    s = np.append(score.state["weight"].flatten().numpy(), score.state["bias"].numpy())
    batch = next(data.batches([1]))
    probability, features = network.saliency(batch.images)
    seen = Seen(probability[0, 0].numpy(), features=features[0].numpy())
    found = score(seen)[batch.xy[:, 1], batch.xy[:, 0]]
    inputs, p = head_inputs(network, head_of(network), batch), probability[0, 0].numpy()
    p = p[batch.xy[:, 1], batch.xy[:, 0]]
    np.testing.assert_allclose(found, (p - (p > 0.5)) * (inputs @ s), rtol=1e-3, atol=1e-5)


def test_what_the_head_sees_gives_its_logits() -> None:
    (network,), data = toys(), InMemory()
    head, batch = head_of(network), next(data.batches())
    features = network.saliency(batch.images)[1]
    logits = interpolate(head(features), (SIZE, SIZE), mode="bilinear")[:, 0].numpy()
    expected = logits[batch.of_image, batch.xy[:, 1], batch.xy[:, 0]]
    found = head_inputs(network, head, batch) @ weights_of(head)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_sums_are_those_of_all_labelled_pixels() -> None:
    vectors, labels, w = RNG.normal(size=(8, D)), np.array([0, 1] * 4, np.uint8), RNG.normal(size=D)
    reference = np.array([True, False] * 4)
    sums = HeadSums(D)
    for part in (slice(0, 3), slice(3, 8)):
        sums.add(vectors[part], labels[part], w, reference[part])
    hessian, gradient = np.zeros((D, D)), np.zeros(D)
    for h, y, counts in zip(vectors, labels, reference, strict=True):
        p = sigmoid(h @ w)
        hessian += p * (1 - p) * np.outer(h, h)
        gradient += counts * (p - y) * h
    np.testing.assert_allclose(sums.hessian, hessian)
    np.testing.assert_allclose(sums.gradient, gradient)
    assert (sums.points, sums.references) == (8, 4)
    np.testing.assert_allclose(damped(np.diag([1.0, 3.0]), 0.5), np.diag([2.0, 4.0]))


def test_without_a_reference_point_all_labelled_points_are_the_reference() -> None:
    data = InMemory(images=2)
    few, every = (Influence(InfluenceConfig(reference=share)).fit(data) for share in (1e-6, 1.0))
    torch.testing.assert_close(few["weight"], every["weight"])


def test_a_network_without_a_head_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    (network,) = toys()
    monkeypatch.setattr(type(network), "head_name", "")
    with pytest.raises(ConfigError, match="Toy names none: set its head_name"):
        head_of(network)
    monkeypatch.setattr(type(network), "head_name", "body")
    with pytest.raises(ConfigError, match="is body, which is no plain convolution"):
        head_of(network)
