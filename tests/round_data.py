"""The images of a round in memory, for parts of methods that are fitted to them."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from toy_network import Toy

from atal_ray.acquisition.fitted import LabelledBatch
from atal_ray.networks.protocol import SaliencyNetwork

SIZE = 16


def toys(count: int = 1) -> list[SaliencyNetwork]:
    """Toy networks with random weights, frozen."""
    torch.manual_seed(0)
    return [Toy().eval().requires_grad_(False) for _ in range(count)]


@dataclass
class InMemory:
    """See `acquisition.fitted.RoundData`: random images, each with some labelled points."""

    networks: list[SaliencyNetwork] = field(default_factory=toys)
    images: int = 6
    points: int = 4
    seed: int = 3
    campaign_seed: int = 0
    right: bool = False
    """Whether labelled points lie in the right half alone, which is then dark."""
    asked: list[int] = field(default_factory=list)

    def image(self, number: int) -> torch.Tensor:
        """An image that is bright on its right half in odd numbers."""
        rng = np.random.default_rng(number)
        values = rng.random((3, SIZE, SIZE), np.float32)
        values[:, :, SIZE // 2 :] *= 0.2 + 0.8 * (number % 2 and not self.right)
        return torch.from_numpy(values)

    def batches(self, numbers: Collection[int] | None = None, size: int = 0) -> Iterator[LabelledBatch]:
        """Two images at a time."""
        order = list(range(self.images) if numbers is None else numbers)
        for start in range(0, len(order), 2):
            some = order[start : start + 2]
            self.asked += some
            xy = [np.random.default_rng(100 + n).integers(SIZE, size=(self.points, 2)) for n in some]
            if self.right:
                xy = [np.stack([SIZE // 2 + x % (SIZE // 2), y], 1) for x, y in (one.T for one in xy)]
            labels = [np.random.default_rng(200 + n).integers(2, size=self.points) for n in some]
            yield LabelledBatch(
                torch.stack([self.image(number) for number in some]),
                [f"image-{number}" for number in some],
                np.repeat(np.arange(len(some)), self.points),
                np.concatenate(xy).astype(np.int32),
                np.concatenate(xy).astype(np.float64),
                np.concatenate(labels).astype(np.uint8),
            )
