"""One training step: forward, the recipe's loss on every head, backward, SGD."""

import contextlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, distributed, nn

from atal_ray.config import TrainConfig
from atal_ray.errors import ConfigError
from atal_ray.labels.confidence import labels_of
from atal_ray.networks.protocol import SaliencyNetwork
from atal_ray.training.dense_losses import LEAST, dense_loss, dense_terms
from atal_ray.training.losses import IGNORED, point_loss
from atal_ray.training.pairwise_losses import local_coherence, scale_consistency

StepOf = Callable[[Tensor, Tensor], Tensor]
"""A step on images and targets; returns the loss, for which nobody has to wait."""
LossOf = Callable[..., tuple[Tensor, Tensor | None]]


def build_optimizer(network: SaliencyNetwork, config: TrainConfig) -> torch.optim.SGD:
    """SGD on the groups that the recipe makes of the network's parameters.

    On a GPU it is one kernel for all parameters, and the learning rates lie there too: a CUDA graph reads
    them at each replay.
    """
    on_gpu = next(network.parameters()).is_cuda
    optimizer = torch.optim.SGD(
        network.parameter_groups(config),
        lr=config.lr_max,
        momentum=config.momentum,
        nesterov=config.nesterov and config.momentum > 0,
        fused=on_gpu or None,
    )
    if on_gpu:
        rates_to_gpu(optimizer)
    return optimizer


def rates_to_gpu(optimizer: torch.optim.Optimizer) -> None:
    """Keep each group's learning rate as a tensor beside its parameters."""
    for group in optimizer.param_groups:
        group["lr"] = torch.tensor(float(group["lr"]), device=group["params"][0].device)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give each parameter group the rate times its own `scale`: backbones learn more slowly than heads."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate * group["scale"])
        else:
            group["lr"] = rate * group["scale"]


def optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The state of an optimiser for a file: rates are numbers, and tensors are laid out plainly."""
    state = optimizer.state_dict()
    tensors = {
        key: {name: value.contiguous() if isinstance(value, Tensor) else value for name, value in one.items()}
        for key, one in state["state"].items()
    }
    groups = [
        {name: float(value) if isinstance(value, Tensor) else value for name, value in one.items()}
        for one in state["param_groups"]
    ]
    return {"state": tensors, "param_groups": groups}


def load_optimizer_state(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Put a state of `optimizer_state` into an optimiser, on whatever device the state was made."""
    ways = [{name: group[name] for name in ("fused", "foreach")} for group in optimizer.param_groups]
    optimizer.load_state_dict(state)
    for group, way in zip(optimizer.param_groups, ways, strict=True):
        group.update(way)
        for parameter in group["params"]:
            for name, value in optimizer.state[parameter].items():
                if isinstance(value, Tensor) and value.shape == parameter.shape:  # laid out as its parameter
                    optimizer.state[parameter][name] = torch.empty_like(parameter).copy_(value)
    if optimizer.param_groups[0]["fused"]:
        rates_to_gpu(optimizer)


def autocast(device: torch.device, half: bool) -> contextlib.AbstractContextManager[None]:
    """Half precision (bfloat16) on a GPU where `half` is set; full precision otherwise and on a CPU."""
    if half and device.type == "cuda":
        return torch.autocast("cuda", torch.bfloat16)
    return contextlib.nullcontext()


def labelled_share(targets: Tensor, by_confidence: bool = False) -> Tensor:
    """Weight of this worker's loss: number of workers * own labelled pixels / labelled pixels of all workers.

    Data-parallel training averages the workers' gradients. With this weight the average is the gradient of
    the mean loss over the labelled pixels of the whole batch, however they are spread over the workers. It is
    1 for one worker. Every worker must call it, for it waits for the others. Of a full mask every pixel is
    labelled.

    Args:
        targets: [B, S, S] of this worker, 255 where unlabelled.
        by_confidence: pixels count by the confidence of soft masks.

    Returns:
        A scalar on the device of the targets.
    """
    own = (labels_of(targets)[1] if by_confidence else targets != IGNORED).sum().float()
    return _share(own, least=LEAST if by_confidence else 1)


def image_share(targets: Tensor) -> Tensor:
    """Weight of what is a mean over this worker's images: number of workers * own images / images of all.

    Args:
        targets: [B, S, S] of this worker.

    Returns:
        A scalar on the device of the targets.
    """
    return _share(torch.full((), float(len(targets)), device=targets.device), least=1)


def _share(own: Tensor, least: float) -> Tensor:
    """The number of workers times this one's part of what all of them have; 1 for a single worker."""
    if not distributed.is_initialized() or distributed.get_world_size() == 1:
        return torch.ones_like(own)
    total = own.clone()
    distributed.all_reduce(total)
    return distributed.get_world_size() * own / total.clamp(min=least)


def loss_of(
    model: nn.Module,
    network: SaliencyNetwork,
    x: Tensor,
    images: Tensor | None,
    targets: Tensor,
    recipe: TrainConfig,
) -> tuple[Tensor, Tensor | None]:
    """The recipe's loss of a model on a batch, in two scalars: what counts by labelled pixels, and what
    counts by images, None where there is nothing of it.

    Args:
        model: the network, or the data-parallel wrapper around it.
        network: the network itself, whose module beside it adds its own loss.
        x: normalised images [B, 3, S, S].
        images: RGB in [0, 1] of the same shape; needed for the local coherence alone.
        targets: [B, S, S]: labels in uint8, 255 where unknown, for `point_loss`; or full masks in floating
            point, for the loss that the recipe names.
        recipe: loss and precision.
    """
    with autocast(x.device, recipe.half):
        output = model(x)
    heads = [logits.float() for logits in output.logits]
    by_images: Tensor | None = None
    if not targets.is_floating_point():
        loss = point_loss(heads, targets, network.loss_weights)
    elif recipe.by_confidence:
        loss, by_images = dense_terms(heads, targets, network.loss_weights, recipe.loss, by_confidence=True)
    else:
        loss = dense_loss(heads, targets, network.loss_weights, recipe.loss)
    if recipe.coherence or recipe.consistency:
        free = unlabelled_loss(network, x, images, heads[network.prediction], recipe)
        by_images = free if by_images is None else by_images + free
    beside = network.beside
    if beside is not None:
        loss = loss + beside.loss(output.beside.float(), heads[beside.prediction], targets)
    return loss, by_images


def unlabelled_loss(
    network: SaliencyNetwork, x: Tensor, images: Tensor | None, logits: Tensor, recipe: TrainConfig
) -> Tensor:
    """The terms that need no label, with the recipe's weights, a scalar.

    Args:
        network: the network itself: a data-parallel wrapper is called once a step.
        x: normalised images [B, 3, S, S].
        images: RGB in [0, 1] of the same shape; needed for the local coherence alone.
        logits: of the saliency map [B, 1, S, S].
        recipe: the weights, and the precision of a smaller pass.
    """
    saliency = torch.sigmoid(logits)

    def predict(smaller: Tensor) -> Tensor:
        with autocast(x.device, recipe.half):
            output = network(smaller)
        return torch.sigmoid(output.logits[network.prediction].float())

    loss = saliency.new_zeros(())
    if recipe.coherence:
        assert images is not None
        loss = loss + recipe.coherence * local_coherence(saliency, images)
    if recipe.consistency:
        loss = loss + recipe.consistency * scale_consistency(saliency, x, predict, network.multiple)
    return loss


def train_step(
    model: nn.Module,
    network: SaliencyNetwork,
    optimizer: torch.optim.Optimizer,
    images: Tensor,
    targets: Tensor,
    recipe: TrainConfig,
    loss_of: LossOf = loss_of,
) -> Tensor:
    """One step of SGD on a batch; waits for no GPU.

    Args:
        model: the network, or the data-parallel wrapper around it.
        network: the network itself.
        optimizer: from `build_optimizer`.
        images: uint8 [B, 3, S, S].
        targets: [B, S, S], as for `loss_of`.
        recipe: loss and precision.
        loss_of: computes the loss, perhaps a compiled form of the function of this name.

    Returns:
        This worker's loss times its shares, a scalar on the device.

    Raises:
        ConfigError: a batch of one image, and a batch norm that takes no single value.
    """
    pictures = images.float() / 255
    x = network.normalise(pictures)
    try:
        loss, by_images = loss_of(model, network, x, pictures if recipe.coherence else None, targets, recipe)
    except ValueError as error:  # PyTorch's own words, of a batch norm behind a mean over the image
        if "more than 1 value per channel" not in str(error):
            raise
        raise ConfigError(
            "training: a batch norm of the network needs two images and got one: "
            "start another campaign with a larger train.batch-size or more images"
        ) from error
    loss = loss * labelled_share(targets, recipe.by_confidence)
    if by_images is not None:
        loss = loss + by_images * image_share(targets)
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    optimizer.step()
    return loss.detach()
