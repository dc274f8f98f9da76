"""ISAL: influence selection (Liu and others, 2021), exact for the last convolution."""

import logging
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
import torch
from annotated_types import Gt, Interval
from torch import Tensor, nn
from torch.nn.functional import conv2d, unfold

from atal_ray import seeding
from atal_ray.acquisition.features import sample_bilinear
from atal_ray.acquisition.fitted import LabelledBatch, RoundData
from atal_ray.acquisition.methods.llal import resized
from atal_ray.acquisition.methods.method import Method
from atal_ray.acquisition.scores.pixel_score import Map, PixelScore
from atal_ray.acquisition.seen import Seen
from atal_ray.config.section import Section, require
from atal_ray.networks.protocol import SaliencyNetwork

logger = logging.getLogger(__name__)

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class InfluenceConfig(Section):
    """How the influence is estimated."""

    path = "query.influence"

    reference: Annotated[float, Interval(gt=0, le=1)] = 0.05
    """Share of the images whose labelled points stand for all that is to be predicted."""
    damping: Annotated[float, Gt(0)] = 0.01
    """Share of the Hessian's mean diagonal that is added to it."""


class Influence(PixelScore):
    """How much a pixel with the label that is predicted for it would lower the loss of the reference points.

    The head is z(u) = w . h(u), where h is what its convolution sees around u, and 1. With p = sigmoid(z),
    the pseudo label y' = [p > 0.5], the Hessian H = mean of p (1 - p) h h^T + lambda I over all labelled
    pixels, and the reference's gradient v = sum of (p - y) h, the influence of u on the reference's loss is
    I(u) = -(p - y') h(u) . s, s = H^-1 v; the score is -I. As |p - y'| = min(p, 1 - p), it is the least
    confidence times a projection. h . s is the head run with s in the place of its weights.
    """

    Settings = InfluenceConfig
    features = True
    fits = True
    top = None

    def check(self, network: SaliencyNetwork) -> None:
        """Refuse a network without a last convolution."""
        head_of(network)

    def fit(self, data: RoundData) -> dict[str, Tensor]:
        """S as a convolution: its weight and bias; and its padding."""
        network = data.networks[-1]
        head = head_of(network)
        weights = weights_of(head)
        sums = HeadSums(len(weights))
        for batch in data.batches():
            chosen = np.array([self._is_reference(data.campaign_seed, name) for name in batch.image_id], bool)
            vectors = head_inputs(network, head, batch)
            sums.add(vectors, batch.labels, weights, chosen[batch.of_image])
        if not sums.references:
            logger.warning("no reference image has a labelled point: all labelled points are the reference")
        gradient = sums.gradient if sums.references else sums.whole_gradient
        s = np.linalg.solve(damped(sums.hessian / max(1, sums.points), self.settings.damping), gradient)
        return {
            "weight": torch.from_numpy(s[:-1].astype(np.float32)).reshape(head.weight.shape),
            "bias": torch.from_numpy(s[-1:].astype(np.float32)),
            "padding": torch.tensor(_padding(head)),
        }

    def _is_reference(self, seed: int, image_id: str) -> bool:
        return bool(seeding.derive(seed, "reference", image_id) % 10**6 < self.settings.reference * 10**6)

    @torch.no_grad()
    def __call__(self, seen: Seen) -> Map:
        """Scores [S, S]; negative where the pixel would raise the loss."""
        state, features = self.state, torch.from_numpy(seen.features)[None]
        padding = [int(side) for side in state["padding"]]
        projected = conv2d(features, state["weight"], state["bias"], padding=padding)
        return (seen.clean - (seen.clean > 0.5)) * resized(projected[0, 0].numpy(), len(seen.clean))


class HeadSums:
    """Sums over labelled pixels: Hessian and gradient of the loss of a linear head.

    Args:
        length: of the head's input, with its 1.
    """

    def __init__(self, length: int) -> None:
        self.hessian: Matrix = np.zeros((length, length))
        self.gradient: Matrix = np.zeros(length)
        """Of the reference's loss."""
        self.whole_gradient: Matrix = np.zeros(length)
        """Of the loss of all pixels."""
        self.points = self.references = 0

    def add(
        self,
        vectors: Matrix,
        labels: npt.NDArray[np.uint8],
        weights: Matrix,
        reference: npt.NDArray[np.bool_],
    ) -> None:
        """Add M pixels.

        Args:
            vectors: what the head sees of them [M, D].
            labels: 0 or 1 [M].
            weights: of the head [D].
            reference: which of them are of the reference set [M]; only these add to its gradient.
        """
        p = 1 / (1 + np.exp(-(vectors @ weights)))
        self.hessian += (vectors * (p * (1 - p))[:, None]).T @ vectors
        self.gradient += (p - labels)[reference] @ vectors[reference]
        self.whole_gradient += (p - labels) @ vectors
        self.points += len(labels)
        self.references += int(reference.sum())


def damped(hessian: Matrix, share: float) -> Matrix:
    """A Hessian with a share of its mean diagonal added to the diagonal."""
    found: Matrix = hessian + (share * np.trace(hessian) / len(hessian) + 1e-12) * np.eye(len(hessian))
    return found


def head_of(network: SaliencyNetwork) -> nn.Conv2d:
    """The convolution that makes the saliency map of the features; ConfigError where a network has none."""
    name = type(network).__name__
    require(
        bool(network.head_name),
        f"query.score influence needs the last convolution of the network, and {name} names none: set its "
        "head_name, or use another score",
    )
    head = network.get_submodule(network.head_name)
    require(
        isinstance(head, nn.Conv2d) and head.groups == 1 and set(head.stride + head.dilation) == {1},
        f"{name}.head_name is {network.head_name}, which is no plain convolution",
    )
    assert isinstance(head, nn.Conv2d)
    return head


def weights_of(head: nn.Conv2d) -> Matrix:
    """Weights and bias of a head of one output [D]."""
    bias = torch.zeros(1) if head.bias is None else head.bias.detach().cpu()
    return torch.cat([head.weight[0].detach().flatten().cpu(), bias]).double().numpy()


@torch.no_grad()
def head_inputs(network: SaliencyNetwork, head: nn.Conv2d, batch: LabelledBatch) -> Matrix:
    """What the head sees at the labelled pixels of a batch [M, D]: its window, resized as its output is."""
    features = network.saliency(batch.images)[1].float()
    height, width = features.shape[-2:]
    windows = unfold(features, head.kernel_size, padding=_padding(head)).reshape(
        len(features), -1, height, width
    )
    size, found = batch.images.shape[-1], []
    for index, window in enumerate(windows):
        own = sample_bilinear(window.cpu().numpy(), batch.cells[batch.of_image == index], size)
        found.append(np.concatenate([own, np.ones((len(own), 1), np.float32)], 1))
    return np.concatenate(found).astype(np.float64)


def _padding(head: nn.Conv2d) -> tuple[int, int]:
    assert not isinstance(head.padding, str)
    return head.padding[0], head.padding[-1]


class Isal(Method):
    """Top-k of the influence on a reference set, with the predicted label in place of the unknown one.

    Exact for the head (of PFSNet as far as its resizing between corner pixels goes), whose Hessian is small
    enough to be solved directly; the original estimates the product with its inverse. The reference set is
    the labelled points of a share of the training images; the original's code takes test images. One pass for
    an image, and one more for the fit.
    """

    score = "influence"
