"""The interface of a saliency network: its output, its normalisation and its parameter groups."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Self, final

import torch
from torch import Tensor, nn

from atal_ray.config import NetworkConfig, TrainConfig
from atal_ray.errors import DataError

if TYPE_CHECKING:
    from atal_ray.networks.beside import Beside
    from atal_ray.networks.dropout import ChannelDropout


class SaliencyOutput(NamedTuple):
    """One forward pass of a saliency network."""

    logits: tuple[Tensor, ...]
    """Saliency maps before the sigmoid, each [B, 1, H, W] at the size of the input."""
    features: Tensor
    """Last decoder features [B, C, h, w], the feature space of RDS."""
    levels: tuple[Tensor, ...] = ()
    """Maps between encoder and decoder, the finest first; empty where a network names none."""
    beside: Tensor | None = None
    """What a module beside the network makes of its levels [B, E, h, w]; see networks/beside.py."""


class SaliencyNetwork(nn.Module, ABC):
    """Base class of every saliency network.

    A subclass sets the class attributes and writes `forward`, which calls `check_sides` first;
    `atal_ray.networks.register` gives it a name. Weights are random numbers of torch's global generator:
    call `torch.manual_seed` before building a network.
    """

    loss_weights: tuple[float, ...]
    """Weight of each of the logits in the training loss."""
    prediction: int
    """Which of the logits are the saliency map."""
    feature_channels: int
    """C, the channels of the features."""
    mean: tuple[float, float, float]
    """Mean of RGB in [0, 1] that the network was designed for."""
    std: tuple[float, float, float]
    """Standard deviation of RGB in [0, 1]."""
    multiple: int = 32
    """Input sides must be multiples of it."""
    backbone_prefix: str = ""
    """Prefix of the pretrained backbone's parameters; empty if all weights start at random."""
    stem_prefixes: tuple[str, ...] = ()
    """Prefixes of the parameters of the pretrained backbone's stem, which a recipe may leave as they are."""
    published_prefixes: Mapping[str, str] = MappingProxyType({})
    """Prefix of keys in the published weights -> prefix in this class; other keys are equal."""
    head_name: str = ""
    """Name of the convolution that makes the saliency map of the features, which is then resized; empty where
    there is no such one.
    """

    dropping: "ChannelDropout | None"
    """Set where it is trained with dropout."""
    beside: "Beside | None"
    """Set where a module trains beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.register_module("dropping", None)
        self.register_module("beside", None)

    @classmethod
    def from_config(cls, config: NetworkConfig) -> Self:
        """Build the network with random weights; override it to use the configuration."""
        return cls()

    @abstractmethod
    def forward(self, x: Tensor) -> SaliencyOutput:
        """Predict from normalised images [B, 3, H, W]."""

    def encode(self, x: Tensor) -> tuple[Tensor, ...]:
        """The maps between encoder and decoder for normalised images, the finest first.

        A network that has this and `decode` calls `whole` in its `forward`; it can then be trained with
        dropout, and its encoder runs once where its decoder runs many times.
        """
        raise NotImplementedError

    def decode(self, levels: tuple[Tensor, ...], x: Tensor) -> SaliencyOutput:
        """The output for the maps of `encode`; of the images `x` only the size is used."""
        raise NotImplementedError

    @property
    def splits(self) -> bool:
        """Whether it has `encode` and `decode`."""
        return type(self).encode is not SaliencyNetwork.encode

    @final
    def whole(self, x: Tensor) -> SaliencyOutput:
        """`encode`, dropout if there is any, `decode`."""
        levels = self.encode(x)
        return self.decode(tuple(map(self.drop, levels)), x)._replace(levels=levels)

    @final
    def drop(self, maps: Tensor) -> Tensor:
        """Maps with some of their channels left out, where `network.dropout` says so."""
        return maps if self.dropping is None else self.dropping(maps)

    def check_sides(self, x: Tensor) -> None:
        """Raise DataError unless a batch is [B, 3, H, W] with sides that `multiple` divides."""
        name = type(self).__name__
        if x.ndim != 4 or x.shape[1] != 3:
            raise DataError(f"images have the shape {list(x.shape)}: {name} needs [B, 3, H, W]")
        height, width = x.shape[-2:]
        if height % self.multiple or width % self.multiple or not height or not width:
            needed = f"{name} needs multiples of {self.multiple}, resize them first"
            raise DataError(f"images are {width}x{height} px: {needed}")

    def normalise(self, images: Tensor) -> Tensor:
        """Shift and scale RGB in [0, 1], [B, 3, H, W], to the network's input; differentiable.

        Raises:
            DataError: for integer images, whose range is not [0, 1].
        """
        if not images.is_floating_point():
            raise DataError(f"images are {images.dtype}: convert them to floating point in [0, 1] first")
        mean, std = (_colour(tuple(rgb), images.device, images.dtype) for rgb in (self.mean, self.std))
        return (images - mean) / std

    @final
    def saliency(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Predict from RGB in [0, 1], [B, 3, H, W]: probabilities [B, 1, H, W] and features [B, C, h, w]."""
        output: SaliencyOutput = self(self.normalise(images))
        return torch.sigmoid(output.logits[self.prediction]), output.features

    def own_key(self, published: str) -> str:
        """The key of this class for a key of the published weights; a key of this class stays as it is."""
        return _replace_prefix(published, self.published_prefixes.items())

    def published_key(self, own: str) -> str:
        """The key of the published weights for a key of this class."""
        return _replace_prefix(own, ((ours, theirs) for theirs, ours in self.published_prefixes.items()))

    def parameter_groups(self, recipe: TrainConfig) -> list[dict[str, Any]]:
        """Freeze what the recipe freezes and split what is left into optimiser groups.

        Call it before wrapping the network for data parallelism, which must not wait for the gradients of
        frozen parameters. Batch norms of a frozen stem still update their running statistics in train mode.

        Args:
            recipe: its learning rate, weight decay, and what of the backbone is trained how.

        Returns:
            Groups "head" and, where there is a pretrained backbone, "backbone", either with a second group
            "... without decay" where the recipe wants one; each with "params", "lr", "weight_decay", "name"
            and "scale", the factor a schedule multiplies the head's learning rate with.
        """
        groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
        for name, parameter in self.named_parameters():
            if recipe.freeze_stem and name.startswith(self.stem_prefixes):
                parameter.requires_grad_(False)
                continue
            pretrained = bool(self.backbone_prefix) and name.startswith(self.backbone_prefix)
            spared = recipe.decay_on == "no-bias-no-bn" and any(
                part in self.published_key(name) for part in ("bias", "bn")
            )
            groups.setdefault((pretrained, spared), []).append(parameter)
        return [
            {
                "params": parameters,
                "lr": recipe.lr_max * (recipe.backbone_ratio if pretrained else 1.0),
                "weight_decay": 0.0 if spared else recipe.weight_decay,
                "name": ("backbone" if pretrained else "head") + (" without decay" if spared else ""),
                "scale": recipe.backbone_ratio if pretrained else 1.0,
            }
            for (pretrained, spared), parameters in sorted(groups.items())
        ]


def _colour(rgb: tuple[float, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
    """Three numbers as a tensor [3, 1, 1]; kept on a GPU, where making it anew would wait for the device."""
    make = _kept_colour if device.type == "cuda" and not torch.compiler.is_compiling() else _made_colour
    return make(rgb, device, dtype)


def _made_colour(rgb: tuple[float, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
    return torch.tensor(rgb, device=device, dtype=dtype).view(3, 1, 1)


_kept_colour = lru_cache(maxsize=64)(_made_colour)


def _replace_prefix(key: str, rules: Iterable[tuple[str, str]]) -> str:
    for old, new in rules:
        if key.startswith(old):
            return new + key.removeprefix(old)
    return key
