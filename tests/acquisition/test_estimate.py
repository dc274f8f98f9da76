import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from atal_ray.acquisition.attack import pgd
from atal_ray.acquisition.estimate import Estimate, estimate
from atal_ray.config import AttackConfig, NetworkConfig
from atal_ray.networks.protocol import SaliencyNetwork, SaliencyOutput

CONFIG = AttackConfig()


class Tiny(SaliencyNetwork):
    """Two convolutions with a batch norm; the second logit is the prediction."""

    loss_weights = (1.0, 1.0)
    prediction = 1
    feature_channels = 4
    mean = (0.4, 0.5, 0.6)
    std = (0.2, 0.3, 0.25)

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Tanh())
        self.heads = nn.Conv2d(4, 2, 3, padding=1)

    def forward(self, x: Tensor) -> SaliencyOutput:
        features = self.body(x)
        first, second = self.heads(features).unbind(1)
        return SaliencyOutput((first[:, None], second[:, None]), features)


@pytest.fixture(scope="module")
def snapshots() -> list[SaliencyNetwork]:
    torch.manual_seed(2)
    return [Tiny.from_config(NetworkConfig()).double().eval().requires_grad_(False) for _ in range(3)]


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.rand(4, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


def probability(network: SaliencyNetwork, images: Tensor) -> Tensor:
    mean, std = (torch.tensor(rgb, dtype=torch.float64).view(3, 1, 1) for rgb in (network.mean, network.std))
    with torch.no_grad():
        return torch.sigmoid(network((images - mean) / std).logits[1])


def naive_mean(snapshots: list[SaliencyNetwork], images: Tensor) -> Tensor:
    total = torch.zeros(len(images), 1, 16, 16, dtype=torch.float64)
    for network in snapshots:
        total = total + probability(network, images)
    return total / len(snapshots)


def seen_by(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """The adversarial images that the next estimates make."""
    made: list[Tensor] = []
    monkeypatch.setattr(
        "atal_ray.acquisition.estimate.pgd",
        lambda *args, **options: made.append(pgd(*args, **options)) or made[-1],
    )
    return made


def equal(first: Estimate[Any], second: Estimate[Any]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(vars(first).values(), vars(second).values(), strict=True))


def test_means_equal_the_naive_form(
    snapshots: list[SaliencyNetwork], images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = seen_by(monkeypatch)
    found = estimate(snapshots, images, CONFIG).numpy()
    target = (probability(snapshots[-1], images) > 0.5).double()
    step: dict[str, Any] = {"epsilon": 8 / 255, "alpha": 2 / 255, "steps": 5}
    by_hand = pgd(images, lambda x: snapshots[-1](snapshots[-1].normalise(x)).logits[1], target, **step)
    assert torch.equal(made[0], by_hand)
    np.testing.assert_allclose(found.clean, naive_mean(snapshots, images)[:, 0], rtol=1e-6)
    np.testing.assert_allclose(found.attacked, naive_mean(snapshots, by_hand)[:, 0], rtol=1e-6)
    with torch.no_grad():
        np.testing.assert_allclose(
            found.features, snapshots[-1](snapshots[-1].normalise(images)).features, rtol=1e-6
        )
    assert {array.dtype for array in vars(found).values()} == {np.dtype(np.float32)}
    assert (found.clean.shape, found.attacked.shape, found.features.shape) == (
        (4, 16, 16),
        (4, 16, 16),
        (4, 4, 16, 16),
    )


def test_the_attack_makes_the_attacked_model_less_sure(
    snapshots: list[SaliencyNetwork], images: Tensor
) -> None:
    alone = estimate(snapshots[-1:], images, CONFIG).numpy()
    target = torch.from_numpy(alone.clean > 0.5).double()
    losses = [
        binary_cross_entropy_with_logits(torch.from_numpy(p).double().logit(), target)
        for p in (alone.clean, alone.attacked)
    ]
    assert losses[1] > 1.02 * losses[0]


def test_the_mean_is_attacked_where_the_ensemble_is_asked_for(
    snapshots: list[SaliencyNetwork], images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = seen_by(monkeypatch)
    last, mean = (
        estimate(snapshots, images, dataclasses.replace(CONFIG, model=model))
        for model in ("last", "ensemble")
    )
    assert np.array_equal(last.clean, mean.clean)
    np.testing.assert_allclose(last.features, mean.features, rtol=1e-6)  # of the last snapshot either way
    assert not torch.equal(*made)
    target = (naive_mean(snapshots, images) > 0.5).double()

    def loss(p: Tensor) -> float:
        return float(torch.nn.functional.binary_cross_entropy(p, target))

    assert (
        loss(naive_mean(snapshots, made[1]))
        > loss(naive_mean(snapshots, made[0]))
        > loss(naive_mean(snapshots, images))
    )
    own = (probability(snapshots[-1], images) > 0.5).double()
    hit = [float(torch.nn.functional.binary_cross_entropy(probability(snapshots[-1], x), own)) for x in made]
    assert hit[0] > hit[1]  # each attack is the stronger one on what it aims at


def test_an_ensemble_of_one_is_its_last_snapshot(snapshots: list[SaliencyNetwork], images: Tensor) -> None:
    last, mean = (
        estimate(snapshots[:1], images, dataclasses.replace(CONFIG, model=model))
        for model in ("last", "ensemble")
    )
    np.testing.assert_allclose(last.attacked, mean.attacked, rtol=1e-6)


def test_labelled_points_are_attacked_alone_and_towards_their_labels(
    snapshots: list[SaliencyNetwork], images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = seen_by(monkeypatch)
    known = torch.zeros(4, 1, 16, 16, dtype=torch.float64)
    known[:, 0, 8, 8] = 1
    points = dataclasses.replace(CONFIG, labels="points")
    own = (probability(snapshots[-1], images) > 0.5).double()
    for labels in (own, 1 - own):
        estimate(snapshots, images, points, labels, known)
        moved = (made[-1] != images).any(1)
        field = torch.zeros_like(moved)
        field[:, 6:11, 6:11] = True  # what two 3x3 convolutions see of one pixel
        assert moved.any()
        assert not (moved & ~field).any()
        before, after = (
            binary_cross_entropy_with_logits(probability(snapshots[-1], x).logit(), labels, weight=known)
            for x in (images, made[-1])
        )
        assert after > before
    assert not torch.equal(made[0], made[1])
    estimate(snapshots, images, CONFIG, labels, known)  # "prediction" has no use for points
    estimate(snapshots, images, CONFIG)
    assert torch.equal(made[2], made[3])


def test_an_image_without_points_is_not_attacked(snapshots: list[SaliencyNetwork], images: Tensor) -> None:
    nothing = torch.zeros(4, 1, 16, 16, dtype=torch.float64)
    found = estimate(
        snapshots, images, dataclasses.replace(CONFIG, labels="points"), nothing, nothing
    ).numpy()
    assert np.array_equal(found.clean, found.attacked)


@pytest.mark.parametrize("options", [{}, {"model": "ensemble"}, {"steps": 1}])
def test_an_image_does_not_depend_on_its_batch(
    snapshots: list[SaliencyNetwork], images: Tensor, options: dict[str, Any]
) -> None:
    config = dataclasses.replace(CONFIG, **options)
    together = estimate(snapshots, images, config).numpy()
    for index in range(4):
        alone = estimate(snapshots, images[index : index + 1], config).numpy()
        assert equal(alone, Estimate(*(array[index : index + 1] for array in vars(together).values())))


def test_the_snapshots_keep_their_weights_and_their_mode(
    snapshots: list[SaliencyNetwork], images: Tensor
) -> None:
    before = [{key: value.clone() for key, value in network.state_dict().items()} for network in snapshots]
    estimate(snapshots, images, CONFIG)
    for kept, network in zip(before, snapshots, strict=True):
        assert not network.training
        assert all(torch.equal(kept[key], value) for key, value in network.state_dict().items())
        assert all(parameter.grad is None for parameter in network.parameters())


class Counted(Tiny):
    """Notes the side of each pass, and whether it has a gradient."""

    multiple = 4

    def __init__(self) -> None:
        super().__init__()
        self.passes: list[tuple[int, bool]] = []

    def forward(self, x: Tensor) -> SaliencyOutput:
        self.passes.append((x.shape[-1], x.requires_grad))
        return super().forward(x)


def counted() -> list[Counted]:
    torch.manual_seed(2)
    return [Counted.from_config(NetworkConfig()).double().eval().requires_grad_(False) for _ in range(3)]


@pytest.mark.parametrize("model", ["last", "ensemble"])
def test_the_first_step_of_the_attack_is_the_clean_pass(images: Tensor, model: Any) -> None:
    networks = counted()
    estimate(networks, images, dataclasses.replace(CONFIG, model=model))
    for network in networks:
        attacked = network is networks[-1] or model == "ensemble"
        assert network.passes == ([(16, True)] * 5 + [(16, False)] if attacked else [(16, False)] * 2)


@pytest.mark.parametrize(("scale", "side"), [(0.5, 8), (0.6, 8), (0.7, 12), (0.01, 4), (1.0, 16), (0.95, 16)])
def test_the_attack_runs_at_its_scale_and_the_rest_at_full_size(
    images: Tensor, scale: float, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    networks, full = counted(), seen_by(monkeypatch)
    found = estimate(networks, images, dataclasses.replace(CONFIG, scale=scale)).numpy()
    passes = networks[-1].passes
    assert passes[:5] == [(side, True)] * 5
    assert passes[5:] == [(16, False)] * (1 if side == 16 else 2)
    plain = estimate(networks, images, CONFIG).numpy()
    assert np.array_equal(found.clean, plain.clean)
    assert np.array_equal(found.features, plain.features)
    assert np.array_equal(found.attacked, plain.attacked) == (side == 16)
    assert len(full) == (2 if side == 16 else 1)
    change = (found.attacked - plain.clean).ravel() @ (plain.attacked - plain.clean).ravel()
    assert change > 0  # the same direction
