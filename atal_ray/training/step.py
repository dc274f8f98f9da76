"""One training step: forward, the recipe's loss on every head, backward, SGD."""

import contextlib

import torch
from torch import Tensor, distributed, nn

from atal_ray.config import TrainConfig
from atal_ray.errors import ConfigError
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
    """Give each parameter group the rate times its own `scale`: backbones learn more slowly than heads."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["scale"]


def autocast(device: torch.device, half: bool) -> contextlib.AbstractContextManager[None]:
    """Half precision (bfloat16) on a GPU where `half` is set; full precision otherwise and on a CPU."""
    if half and device.type == "cuda":
        return torch.autocast("cuda", torch.bfloat16)
    return contextlib.nullcontext()


def labelled_share(targets: Tensor) -> Tensor:
    """Weight of this worker's loss: number of workers * own labelled pixels / labelled pixels of all workers.

    Data-parallel training averages the workers' gradients. With this weight the average is the gradient of
    the mean loss over the labelled pixels of the whole batch, however they are spread over the workers. It is
    1 for one worker. Every worker must call it, for it waits for the others. Of a full mask every pixel is
    labelled.

    Args:
        targets: [B, S, S] of this worker, 255 where unlabelled.

    Returns:
        A scalar on the device of the targets.
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
    """One step of SGD on a batch; returns this worker's loss times its `labelled_share`.

    Args:
        model: the network, or the data-parallel wrapper around it.
        network: the network itself.
        optimizer: from `build_optimizer`.
        images: uint8 [B, 3, S, S].
        targets: [B, S, S]: labels in uint8, 255 where unknown, for `point_loss`; or full masks in floating
            point, for the loss that the recipe names.
        recipe: loss and precision.

    Raises:
        ConfigError: a batch of one image, and a batch norm that takes no single value.
    """
    try:
        with autocast(images.device, recipe.half):
            output = model(network.normalise(images.float() / 255))
    except ValueError as error:  # PyTorch's own words, of a batch norm behind a mean over the image
        if "more than 1 value per channel" not in str(error):
            raise
        raise ConfigError(
            "training: a batch norm of the network needs two images and got one: "
            "start another campaign with a larger train.batch-size or more images"
        ) from error
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
