"""Checks of a network against the protocol and the configuration, before a training starts."""

from collections.abc import Sequence

import torch
from torch.func import functional_call

from atal_ray.config import TrainConfig
from atal_ray.errors import ConfigError
from atal_ray.networks.protocol import SaliencyNetwork, SaliencyOutput

ATTRIBUTES = ("loss_weights", "prediction", "feature_channels", "mean", "std")
IMAGES = 2


def check_network(network: SaliencyNetwork, recipe: TrainConfig) -> None:
    """Refuse image sides that the network cannot take, wrong output shapes, and batches that are too small.

    It takes two forward passes of random images; the network and the random numbers after it are as before.

    Raises:
        ConfigError: with the class and what it must change, or with the sides.
    """
    name = type(network).__name__
    absent = [attribute for attribute in ATTRIBUTES if not hasattr(network, attribute)]
    if absent:
        raise ConfigError(f"{name} lacks {', '.join(absent)}: see atal_ray.networks.SaliencyNetwork")
    if not isinstance(network.loss_weights, Sequence):
        raise ConfigError(
            f"{name}.loss_weights is {network.loss_weights!r}: "
            "give a tuple with one weight for each of the logits"
        )
    wrong = [side for side in sorted({recipe.size, *recipe.scales}) if side % network.multiple]
    if wrong:
        multiple = network.multiple
        raise ConfigError(
            f"train.size and train.scales hold {', '.join(map(str, wrong))} px: {name} needs multiples of "
            f"{multiple}, for instance {max(1, round(wrong[0] / multiple)) * multiple}"
        )
    mode, side = network.training, min(recipe.size, *recipe.scales)
    # fork_rng: a campaign's random weights do not depend on this check
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        _check_output(name, network, _forward(name, network.eval(), side), side)
        _check_smallest_batch(name, network.train(), recipe)
    network.train(mode)


def _forward(name: str, network: SaliencyNetwork, side: int) -> object:
    try:
        return network(network.normalise(torch.rand(IMAGES, 3, side, side)))
    except Exception as error:  # a user's network may raise anything
        raise ConfigError(
            f"{name}.forward fails on {IMAGES} images of {side} px: {type(error).__name__}: {error}"
        ) from error


def _check_smallest_batch(name: str, network: SaliencyNetwork, recipe: TrainConfig) -> None:
    """Batch norms need two values a channel: maps of one pixel cannot be trained on with one image."""
    images, side = recipe.batch_size // recipe.workers if recipe.drop_last else 1, min(recipe.scales)
    if images > 1:
        return
    statistics = {key: value.clone() for key, value in network.named_buffers()}
    try:
        functional_call(network, statistics, network.normalise(torch.rand(1, 3, side, side)))
    except ValueError as error:
        raise ConfigError(
            f"{name} cannot be trained on one image of {side} px, which the last batch of an epoch may hold "
            f"({error}): raise train.scales, or set train.drop-last"
        ) from error


def _check_output(name: str, network: SaliencyNetwork, output: object, side: int) -> None:
    if not isinstance(output, SaliencyOutput):
        raise ConfigError(
            f"{name}.forward returns a {type(output).__name__}: return atal_ray.networks.SaliencyOutput"
        )
    count, weights = len(output.logits), len(network.loss_weights)
    if count != weights or not 0 <= network.prediction < count:
        raise ConfigError(
            f"{name} gives {count} logits, {weights} loss_weights and prediction {network.prediction}: "
            "one weight for each of the logits, and one of them is the prediction"
        )
    expected = [IMAGES, 1, side, side]
    for index, logits in enumerate(output.logits):
        if list(logits.shape) != expected:
            found = list(logits.shape)
            raise ConfigError(
                f"{name}: logits {index} have the shape {found}, expected {expected} as the images"
            )
    channels = network.feature_channels
    if output.features.ndim != 4 or output.features.shape[:2] != (IMAGES, channels):
        raise ConfigError(
            f"{name}: features have the shape {list(output.features.shape)}, expected "
            f"[{IMAGES}, {channels}, h, w] (feature_channels maps for each image)"
        )
