from contextlib import nullcontext
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, distributed

from atal_ray import networks
from atal_ray.config import NetworkConfig, TrainConfig
from atal_ray.config.training import Loss
from atal_ray.errors import ConfigError
from atal_ray.labels.confidence import labels_of
from atal_ray.labels.points import UNSURE
from atal_ray.training.dense_losses import dense_loss
from atal_ray.training.losses import masked_bce, point_loss
from atal_ray.training.pairwise_losses import local_coherence, scale_consistency
from atal_ray.training.step import (
    autocast,
    build_optimizer,
    labelled_share,
    set_learning_rate,
    train_step,
)

PLAN = TrainConfig()


@pytest.fixture
def small() -> networks.SaliencyNetwork:
    torch.manual_seed(0)
    return networks.build(NetworkConfig(name="toy_network:TwoHeads"))


@pytest.fixture(scope="module")
def batch() -> tuple[Tensor, Tensor]:
    """Bright squares on noise, a tenth of the pixels labelled."""
    draw = torch.Generator().manual_seed(1)
    images = torch.randint(0, 100, (4, 3, 64, 64), generator=draw, dtype=torch.uint8)
    masks = torch.zeros(4, 64, 64, dtype=torch.uint8)
    for index in range(4):
        square = (slice(8 + 4 * index, 40 + 4 * index), slice(16, 48))
        images[index][:, *square] += 120
        masks[index][square] = 1
    return images, torch.where(torch.rand(masks.shape, generator=draw) < 0.1, masks, UNSURE)


def test_steps_lower_the_loss_on_a_fixed_batch(
    small: networks.SaliencyNetwork, batch: tuple[Tensor, Tensor]
) -> None:
    optimizer = build_optimizer(small, PLAN)
    small.train()
    losses = [float(train_step(small, small, optimizer, *batch, PLAN)) for _ in range(15)]
    assert losses[-1] < 0.5 * losses[0]
    with torch.no_grad():
        logits = small(small.normalise(batch[0].float() / 255)).logits[small.prediction][:, 0]
    labelled = batch[1] != UNSURE
    assert ((logits > 0) == batch[1])[labelled].float().mean() > 0.9


def test_a_batch_norm_of_one_value_is_a_sentence(
    small: networks.SaliencyNetwork, batch: tuple[Tensor, Tensor]
) -> None:
    """As in MINet, whose deepest maps are of one pixel at a side of 64."""
    pool = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.BatchNorm2d(3))
    model = torch.nn.Sequential(pool, torch.nn.Upsample(64), small).train()
    optimizer = build_optimizer(small, PLAN)
    train_step(model, small, optimizer, *batch, PLAN)
    with pytest.raises(
        ConfigError,
        match=r"needs two images and got one: start another campaign with a larger train\.batch-size",
    ):
        train_step(model, small, optimizer, batch[0][:1], batch[1][:1], PLAN)


def test_the_loss_is_that_of_all_heads_before_the_step(
    small: networks.SaliencyNetwork, batch: tuple[Tensor, Tensor]
) -> None:
    small.eval()
    with torch.no_grad():
        expected = point_loss(
            small(small.normalise(batch[0].float() / 255)).logits, batch[1], small.loss_weights
        )
    loss = train_step(small, small, build_optimizer(small, PLAN), *batch, PLAN)
    assert float(loss) == pytest.approx(float(expected), rel=1e-6)


def test_unlabelled_pixels_teach_nothing(
    small: networks.SaliencyNetwork, batch: tuple[Tensor, Tensor]
) -> None:
    optimizer = build_optimizer(small, TrainConfig(weight_decay=0.0))
    before = [parameter.detach().clone() for parameter in small.parameters()]
    assert train_step(small, small, optimizer, batch[0], torch.full_like(batch[1], UNSURE), PLAN) == 0.0
    assert all(torch.equal(*pair) for pair in zip(before, small.parameters(), strict=True))


def test_a_step_goes_through_the_wrapper_it_is_given(
    small: networks.SaliencyNetwork, batch: tuple[Tensor, Tensor]
) -> None:
    seen: list[torch.Size] = []

    class Wrapper(torch.nn.Module):
        def forward(self, x: Tensor) -> networks.SaliencyOutput:
            seen.append(x.shape)
            output: networks.SaliencyOutput = small(x)
            return output

    train_step(Wrapper(), small, build_optimizer(small, PLAN), *batch, PLAN)
    assert seen == [batch[0].shape]


@pytest.mark.parametrize("kind", get_args(Loss))
def test_full_masks_are_trained_with_the_loss_of_the_recipe(
    small: networks.SaliencyNetwork, batch: tuple[Tensor, Tensor], kind: Any
) -> None:
    images, masks = batch[0], (batch[0][:, 0] > 100).float()
    recipe, optimizer = TrainConfig(loss=kind), build_optimizer(small, PLAN)
    small.eval()
    with torch.no_grad():
        expected = dense_loss(
            small(small.normalise(images.float() / 255)).logits, masks, small.loss_weights, kind
        )
    loss = train_step(small, small, optimizer, images, masks, recipe)
    assert float(loss) == pytest.approx(float(expected), rel=1e-6)
    small.train()
    losses = [float(train_step(small, small, optimizer, images, masks, recipe)) for _ in range(10)]
    assert losses[-1] < 0.7 * losses[0]


def test_terms_without_labels_are_added_with_their_weights(
    small: networks.SaliencyNetwork, batch: tuple[Tensor, Tensor]
) -> None:
    images, labels = batch
    small.eval()
    pictures = images.float() / 255
    x = small.normalise(pictures)

    def saliency(inputs: Tensor) -> Tensor:
        return torch.sigmoid(small(inputs).logits[small.prediction])

    with torch.no_grad():
        apart = local_coherence(saliency(x), pictures)
        scales = scale_consistency(saliency(x), x, saliency, small.multiple)
    optimizer = build_optimizer(small, TrainConfig(lr_max=1e-9, weight_decay=0.0))
    losses = {
        weights: float(
            train_step(
                small,
                small,
                optimizer,
                images,
                labels,
                TrainConfig(coherence=weights[0], consistency=weights[1]),
            )
        )
        for weights in ((0.0, 0.0), (0.3, 0.0), (0.0, 2.0), (0.3, 2.0))
    }
    plain = losses[0.0, 0.0]
    for (coherence, consistency), loss in losses.items():
        expected = plain + coherence * float(apart) + consistency * float(scales)
        assert loss == pytest.approx(expected, rel=1e-5)
    assert min(float(apart), float(scales)) > 1e-4


def test_f3net_trains_the_head_ten_times_as_fast_and_never_the_stem() -> None:
    torch.manual_seed(0)
    network = networks.build(NetworkConfig(name="f3net", weights="random"))
    optimizer = build_optimizer(network, TrainConfig(lr_max=0.05, momentum=0.9, weight_decay=5e-4))
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    groups = {group["name"]: group for group in optimizer.param_groups}
    assert {name: group["lr"] for name, group in groups.items()} == {
        "head": 0.05,
        "backbone": pytest.approx(0.005),
    }
    assert {(group["momentum"], group["nesterov"], group["weight_decay"]) for group in groups.values()} == {
        (0.9, True, 5e-4)
    }
    members = {group: {names[id(parameter)] for parameter in groups[group]["params"]} for group in groups}
    frozen = {name for name, parameter in network.named_parameters() if not parameter.requires_grad}
    assert frozen == {"bkbone.conv1.weight", "bkbone.bn1.weight", "bkbone.bn1.bias"}
    assert all(name.startswith("bkbone.") for name in members["backbone"])
    assert not any(name.startswith("bkbone.") for name in members["head"])
    assert members["backbone"] | members["head"] | frozen == set(names.values())
    set_learning_rate(optimizer, 0.02)
    assert (groups["head"]["lr"], groups["backbone"]["lr"]) == (0.02, pytest.approx(0.002))


def test_without_momentum_there_is_nothing_nesterov_could_correct(small: networks.SaliencyNetwork) -> None:
    assert not build_optimizer(small, TrainConfig(momentum=0.0)).param_groups[0]["nesterov"]


def test_a_cpu_works_in_full_precision() -> None:
    with autocast(torch.device("cpu"), half=True):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


@pytest.mark.filterwarnings("ignore:CUDA is not available")
def test_a_gpu_works_in_half_precision_only_where_that_is_wanted() -> None:
    wanted = autocast(torch.device("cuda"), half=True)
    assert isinstance(wanted, torch.autocast)
    assert wanted.fast_dtype == torch.bfloat16
    assert isinstance(autocast(torch.device("cuda"), half=False), nullcontext)


def shares(
    targets: list[Tensor], monkeypatch: pytest.MonkeyPatch, by_confidence: bool = False
) -> list[float]:
    """The labelled share of each data-parallel worker, one worker after the other."""
    own = [labels_of(mine)[1] if by_confidence else mine != UNSURE for mine in targets]
    labelled = torch.stack([one.sum() for one in own]).sum().float()
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "get_world_size", lambda: len(targets))
    monkeypatch.setattr(distributed, "all_reduce", lambda tensor: tensor.copy_(labelled))
    return [float(labelled_share(mine, by_confidence)) for mine in targets]


def test_the_mean_of_the_workers_gradients_is_that_of_the_whole_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    draw = torch.Generator().manual_seed(4)
    targets = torch.randint(0, 2, (6, 8, 8), generator=draw, dtype=torch.uint8)
    for image, known in enumerate((1, 60, 5, 20, 64, 0)):  # the images have labels in very different numbers
        targets[image].view(-1)[known:] = UNSURE
    logits = torch.randn(6, 1, 8, 8, generator=draw).requires_grad_()
    masked_bce(logits, targets).backward()
    whole = logits.grad.clone()
    for size in (2, 3):
        logits.grad = None
        parts = targets.split(size)
        world = len(parts)
        for mine, own, share in zip(parts, logits.split(size), shares(list(parts), monkeypatch), strict=True):
            (share * masked_bce(own, mine) / world).backward()  # data-parallel training averages gradients
        torch.testing.assert_close(logits.grad, whole)


def test_shares_of_equal_workers_are_1_and_all_sum_to_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    masks = [torch.zeros(2, 4, 4) for _ in range(3)]  # full masks: every pixel is labelled
    assert shares(masks, monkeypatch) == [1.0, 1.0, 1.0]
    few = torch.full((2, 4, 4), UNSURE, dtype=torch.uint8)
    assert shares([few, few], monkeypatch) == [0.0, 0.0]
    many = few.clone()
    few[0, 0, 0], many[0, 0, :3] = 1, 0
    assert shares([few, many], monkeypatch) == [0.5, 1.5]


def test_shares_of_soft_masks_are_those_of_their_confidence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers with soft masks: the mean of their gradients is that of the loss of the whole batch."""
    draw = torch.Generator().manual_seed(0)
    soft, logits = torch.rand(4, 8, 8, generator=draw), torch.randn(4, 1, 8, 8, generator=draw)
    soft[2:] = 0.5 + 0.1 * (soft[2:] - 0.5)
    logits.requires_grad_()
    dense_loss([logits], soft, [1.0], "bce", by_confidence=True).backward()
    whole = logits.grad.clone()
    logits.grad = None
    parts = [*soft.split(2)]
    for mine, own, share in zip(parts, logits.split(2), shares(parts, monkeypatch, True), strict=True):
        (share * dense_loss([own], mine, [1.0], "bce", by_confidence=True) / 2).backward()
    torch.testing.assert_close(logits.grad, whole)


def test_a_single_worker_has_the_whole_share() -> None:
    assert float(labelled_share(torch.full((1, 4, 4), UNSURE))) == 1
    assert not distributed.is_initialized()


def test_a_step_weights_its_loss_with_the_workers_share(
    small: networks.SaliencyNetwork, batch: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    small.eval()
    before = {name: parameter.detach().clone() for name, parameter in small.named_parameters()}
    plan = TrainConfig(momentum=0.0, weight_decay=0.0)
    moved, losses = [], []
    for share in (1.0, 0.25):
        small.load_state_dict(before, strict=False)
        factor = torch.tensor(share)
        monkeypatch.setattr("atal_ray.training.step.labelled_share", lambda *_, factor=factor: factor)
        losses.append(float(train_step(small, small, build_optimizer(small, plan), *batch, plan)))
        moved.append(next(small.parameters()).detach() - next(iter(before.values())))
    assert losses[1] == pytest.approx(0.25 * losses[0])
    torch.testing.assert_close(moved[1], 0.25 * moved[0], atol=1e-6, rtol=1e-3)
    assert moved[0].abs().max() > 1e-4
