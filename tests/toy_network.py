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
    head_name = "head"

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 5, stride=2, padding=2), nn.BatchNorm2d(8), nn.ReLU())
        self.head = nn.Conv2d(8, 1, 3, padding=1)

    def forward(self, x: Tensor) -> SaliencyOutput:
        return self.whole(x)

    def encode(self, x: Tensor) -> tuple[Tensor, ...]:
        self.check_sides(x)
        return (self.body(x),)

    def decode(self, levels: tuple[Tensor, ...], x: Tensor) -> SaliencyOutput:
        (features,) = levels
        return SaliencyOutput((interpolate(self.head(features), x.shape[-2:], mode="bilinear"),), features)


class WideToy(Toy):
    """The same with more channels, so with other weights and other points."""

    feature_channels = 12

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 12, 5, stride=2, padding=2), nn.BatchNorm2d(12), nn.ReLU())
        self.head = nn.Conv2d(12, 1, 3, padding=1)


class TwoHeads(SaliencyNetwork):
    """Two stages of convolutions with a head each, of which the finer one predicts."""

    loss_weights = (0.5, 1.0)
    prediction = 1
    feature_channels = 16
    mean = (0.485, 0.456, 0.406)
    std = (0.229, 0.224, 0.225)
    multiple = 4

    def __init__(self) -> None:
        super().__init__()
        self.fine = _stage(3, 16)
        self.coarse = _stage(16, 16)
        self.heads = nn.ModuleList(nn.Conv2d(16, 1, 3, padding=1) for _ in range(2))

    def forward(self, x: Tensor) -> SaliencyOutput:
        self.check_sides(x)
        fine = self.fine(x)
        coarse = self.coarse(fine)
        features = fine + interpolate(coarse, fine.shape[-2:], mode="bilinear")
        logits = (head(values) for head, values in zip(self.heads, (coarse, features), strict=True))
        return SaliencyOutput(
            tuple(interpolate(values, x.shape[-2:], mode="bilinear") for values in logits), features
        )


def _stage(channels: int, out: int) -> nn.Sequential:
    """A convolution that halves the side; statistics of few steps, as those of f3net-small."""
    norm = nn.BatchNorm2d(out, momentum=0.3)
    return nn.Sequential(nn.Conv2d(channels, out, 5, stride=2, padding=2), norm, nn.ReLU())
