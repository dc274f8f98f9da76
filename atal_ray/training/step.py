"""One training step: forward, the recipe's loss on every head, backward, SGD."""

import contextlib

import torch
from torch import Tensor, distributed, nn

from atal_ray.config import TrainConfig
from atal_ray.networks.protocol import SaliencyNetwork
from atal_ray.training.dense_losses import dense_loss
from atal_ray.training.losses import IGNORED, point_loss


def build_optimizer(network: SaliencyNetwork, config: TrainConfig) -> torch.optim.SGD:
    """SGD on the groups that the recipe makes of the network's parameters."""
    nesterov = config.nesterov and config.momentum > 0
    return torch.optim.SGD(
        network.parameter_groups(config), lr=config.lr_max, momentum=config.momentum, nesterov=nesterov
    )


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give each parameter group its share of the head's rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["scale"]


def autocast(device: torch.device, half: bool) -> contextlib.AbstractContextManager[None]:
    """Half precision (bfloat16) on a GPU where it is wanted, full precision otherwise and on a CPU."""
    return (
        torch.autocast("cuda", torch.bfloat16) if half and device.type == "cuda" else contextlib.nullcontext()
    )


def labelled_share(targets: Tensor) -> Tensor:
    """The factor that makes the mean of the workers' losses the mean over the labelled pixels of the whole
    batch.

    world * own / all labelled pixels, and of a full mask every pixel is labelled; 1 for one worker. Every
    worker must call it.
    """
    own = (targets != IGNORED).sum().float()
    if not distributed.is_initialized() or distributed.get_world_size() == 1:
        return torch.ones_like(own)
    total = own.clone()
    distributed.all_reduce(total)
    return distributed.get_world_size() * own / total.clamp(min=1)


def train_step(
    model: nn.Module,
    network: SaliencyNetwork,
    optimizer: torch.optim.Optimizer,
    images: Tensor,
    targets: Tensor,
    recipe: TrainConfig,
) -> float:
    """One step on a batch; returns this worker's part of its loss.

    Args:
        model: the network, or the data-parallel wrapper around it.
        network: the network itself.
        optimizer: from `build_optimizer`.
        images: uint8 [B, 3, S, S].
        targets: [B, S, S]; labels in uint8, 255 where unknown, or full masks in float, which the recipe's
            loss takes.
        recipe: its loss and precision.
    """
    with autocast(images.device, recipe.half):
        output = model(network.normalise(images.float() / 255))
    heads = [logits.float() for logits in output.logits]
    if targets.is_floating_point():
        loss = dense_loss(heads, targets, network.loss_weights, recipe.loss)
    else:
        loss = point_loss(heads, targets, network.loss_weights)
    loss = loss * labelled_share(targets)
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    optimizer.step()
    return float(loss.detach())
