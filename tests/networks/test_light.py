import torch

from atal_ray.networks.light import LightBackbone


def test_levels_and_size():
    backbone = LightBackbone()
    levels = backbone(torch.randn(2, 3, 64, 96))
    expected = [
        (channels, 64 >> depth, 96 >> depth) for depth, channels in enumerate(backbone.channels, start=1)
    ]
    assert [tuple(level.shape[1:]) for level in levels] == expected
    assert sum(parameter.numel() for parameter in backbone.parameters()) == 252_560
