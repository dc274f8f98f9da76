from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, interpolate

from atal_ray.acquisition.attack import pgd, pgd_resized
from atal_ray.errors import DataError

STEP: dict[str, Any] = {"epsilon": 8 / 255, "alpha": 2 / 255, "steps": 5}


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(3)
    layers = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.Tanh(), nn.Conv2d(6, 1, 3, padding=1)
    )
    return layers.double().eval()


@pytest.fixture
def images() -> Tensor:
    images = torch.rand(3, 3, 9, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    images[0, :, :4] = 0.0  # values on both ends of [0, 1]
    images[1, :, :4] = 1.0
    return images


def hard(network: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        return (network(images) > 0).double()


def test_eq_1_equals_the_scalar_loop(network: nn.Module, images: Tensor) -> None:
    labels = hard(network, images)
    for index in range(len(images)):
        clean = images[index].numpy()
        adversarial = clean.copy()
        for _ in range(STEP["steps"]):
            leaf = torch.tensor(adversarial[None], requires_grad=True)
            p = torch.sigmoid(network(leaf))
            y = labels[index : index + 1]
            (-(y * p.log() + (1 - y) * (1 - p).log())).sum().backward()
            gradient = leaf.grad.numpy()[0]
            for position in np.ndindex(*clean.shape):
                moved = adversarial[position] + STEP["alpha"] * np.sign(gradient[position])
                moved = min(max(moved, clean[position] - STEP["epsilon"]), clean[position] + STEP["epsilon"])
                adversarial[position] = min(max(moved, 0.0), 1.0)
        network.zero_grad(set_to_none=True)
        np.testing.assert_allclose(
            pgd(images, network, labels, **STEP)[index].numpy(), adversarial, atol=1e-12
        )


def test_stays_in_the_ball_and_in_the_unit_range(network: nn.Module, images: Tensor) -> None:
    adversarial = pgd(images, network, hard(network, images), epsilon=0.03, alpha=0.02, steps=7)
    change = (adversarial - images).abs()
    assert change.max() <= 0.03 + 1e-15
    assert change.max() > 0.029  # the ball is used
    assert adversarial.min() == 0
    assert adversarial.max() == 1


def test_raises_the_loss_of_every_image_more_than_noise_of_its_size(
    network: nn.Module, images: Tensor
) -> None:
    labels = hard(network, images)
    adversarial = pgd(images, network, labels, **STEP)
    signs = torch.randint(2, images.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    noisy = (images + STEP["epsilon"] * signs).clamp(0, 1)
    with torch.no_grad():
        losses = [
            binary_cross_entropy_with_logits(network(x), labels, reduction="none").sum((1, 2, 3))
            for x in (images, noisy, adversarial)
        ]
    clean, noise, attacked = losses
    assert (attacked > clean).all()
    assert (attacked - clean > 3 * (noise - clean).abs()).all()


def test_leaves_parameters_and_the_caller_alone(network: nn.Module, images: Tensor) -> None:
    kept = images.clone()
    with torch.no_grad():
        adversarial = pgd(images, network, hard(network, images), **STEP)
    assert all(parameter.grad is None and parameter.requires_grad for parameter in network.parameters())
    assert torch.equal(images, kept)
    assert not images.requires_grad
    assert not adversarial.requires_grad


def test_an_image_does_not_depend_on_its_batch(network: nn.Module, images: Tensor) -> None:
    labels = hard(network, images)
    together = pgd(images, network, labels, **STEP)
    for index in range(len(images)):
        alone = pgd(images[index : index + 1], network, labels[index : index + 1], **STEP)
        assert torch.equal(alone[0], together[index])


def test_weight_attacks_the_chosen_pixels_alone(network: nn.Module, images: Tensor) -> None:
    weight = torch.zeros(3, 1, 9, 7, dtype=torch.bool)
    weight[0, 0, 6, 3] = True
    adversarial = pgd(images, network, hard(network, images), weight=weight, **STEP)
    moved = (adversarial != images).any(dim=1)
    field = torch.zeros_like(moved)
    field[0, 4:9, 1:6] = True  # two 3x3 convolutions see 5x5 pixels
    assert moved.any()
    assert not (moved & ~field).any()


def test_a_saturated_logit_moves_nothing() -> None:
    images = torch.full((1, 3, 2, 2), 0.5)
    labels = torch.ones(1, 1, 2, 2)
    adversarial = pgd(images, lambda x: 400 * x.sum(dim=1, keepdim=True), labels, **STEP)
    assert torch.equal(adversarial, images)


def test_refuses_normalised_images_and_other_shapes(network: nn.Module, images: Tensor) -> None:
    labels = torch.zeros(3, 1, 9, 7)
    with pytest.raises(DataError, match=r"\[0, 1\]"):
        pgd(images - 0.5, network, labels, **STEP)
    with pytest.raises(DataError, match="labels have shape"):
        pgd(images, network, labels[:, 0], **STEP)
    with pytest.raises(DataError, match="weight have shape"):
        pgd(images, network, labels, weight=labels[:1], **STEP)


def test_without_labels_the_first_prediction_is_the_target(network: nn.Module, images: Tensor) -> None:
    seen: list[Tensor] = []

    def logits_of(x: Tensor) -> Tensor:
        seen.append(x.detach())
        result: Tensor = network(x)
        return result

    assert torch.equal(pgd(images, logits_of, **STEP), pgd(images, network, hard(network, images), **STEP))
    assert len(seen) == STEP["steps"]
    assert torch.equal(seen[0], images)


def test_a_step_that_moves_no_image_is_the_last(network: nn.Module, images: Tensor) -> None:
    calls = [0]

    def logits_of(x: Tensor) -> Tensor:
        calls[0] += 1
        result: Tensor = network(x)
        return result

    nothing = torch.zeros(3, 1, 9, 7)
    assert torch.equal(pgd(images, logits_of, nothing, weight=nothing, **STEP), images)
    assert calls == [1]
    one = nothing.clone()
    one[2, 0, 4, 4] = 1  # one image that moves keeps all of them
    moved = pgd(images, logits_of, nothing, weight=one, **STEP)
    assert calls == [1 + STEP["steps"]]
    assert torch.equal(moved[:2], images[:2])
    assert not torch.equal(moved[2], images[2])


def test_resized_is_the_attack_of_the_small_image_enlarged(network: nn.Module, images: Tensor) -> None:
    images = torch.nn.functional.pad(images, (0, 1, 0, 1), value=0.5)  # 10 x 8
    found = pgd_resized(images, network, side=5, **STEP)
    small = interpolate(images, (5, 5), mode="bilinear", antialias=True)
    change = interpolate(pgd(small, network, **STEP) - small, (10, 8), mode="bilinear")
    np.testing.assert_allclose(found.numpy(), (images + change).clamp(0, 1).numpy(), atol=1e-15)
    assert (found - images).abs().max() <= STEP["epsilon"] + 1e-15
    assert (found - images).abs().max() > 0.9 * STEP["epsilon"]
    assert found.min() == 0
    assert found.max() == 1
    assert torch.equal(pgd_resized(images[1:2], network, side=5, **STEP)[0], found[1])


def test_resized_keeps_every_labelled_pixel(network: nn.Module) -> None:
    images = torch.rand(1, 3, 9, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(8))
    small = interpolate(images, (3, 3), mode="bilinear", antialias=True)
    for row, column in np.ndindex(9, 9):
        weight = torch.zeros(1, 1, 9, 9, dtype=torch.bool)
        weight[0, 0, row, column] = True
        for label in (0, 1):
            counts, target = torch.zeros(1, 1, 3, 3), torch.full((1, 1, 3, 3), float(label))
            counts[0, 0, row // 3, column // 3] = 1
            expected = pgd(small, network, target, weight=counts, **STEP) - small
            found = pgd_resized(images, network, weight * label, side=3, weight=weight, **STEP)
            enlarged = (images + interpolate(expected, (9, 9), mode="bilinear")).clamp(0, 1)
            np.testing.assert_allclose(found.numpy(), enlarged.numpy(), atol=1e-15)


def test_resized_refuses_what_pgd_refuses(network: nn.Module, images: Tensor) -> None:
    with pytest.raises(DataError, match=r"\[0, 1\]"):
        pgd_resized(images - 0.5, network, side=4, **STEP)
    with pytest.raises(DataError, match="labels have shape"):
        pgd_resized(images, network, torch.zeros(3, 1, 4, 4), side=4, **STEP)
