"""A network that lives outside the package, as a user's does: `toy_network:Toy`."""

from torch import Tensor, nn
from torch.nn.functional import interpolate

from atal_ray.networks import SaliencyNetwork, SaliencyOutput


class Toy(SaliencyNetwork):
    """Two convolutions at half size."""

    loss_weights = (1.0,)
    prediction = 0
    feature_channels = 8
    mean = (0.5, 0.5, 0.5)
    std = (0.5, 0.5, 0.5)
    multiple = 2

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 5, stride=2, padding=2), nn.BatchNorm2d(8), nn.ReLU())
        self.head = nn.Conv2d(8, 1, 3, padding=1)

    def forward(self, x: Tensor) -> SaliencyOutput:
        self.check_sides(x)
        features = self.body(x)
        return SaliencyOutput((interpolate(self.head(features), x.shape[-2:], mode="bilinear"),), features)


class WideToy(Toy):
    """The same with more channels, so with other weights and other points."""

    feature_channels = 12

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 12, 5, stride=2, padding=2), nn.BatchNorm2d(12), nn.ReLU())
        self.head = nn.Conv2d(12, 1, 3, padding=1)
