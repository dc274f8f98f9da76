import pytest
import torch

from atal_ray.networks.resnet import ResNet50


@pytest.fixture(scope="module")
def backbones() -> dict[str, ResNet50]:
    torch.manual_seed(0)
    torchvision, original = ResNet50("3x3").eval(), ResNet50("1x1").eval()
    original.load_state_dict(torchvision.state_dict())
    return {"3x3": torchvision, "1x1": original}


def test_size(backbones):
    assert sum(parameter.numel() for parameter in backbones["3x3"].parameters()) == 23_508_032


def test_levels_halve_the_size_each_time(backbones):
    with torch.no_grad():
        levels = backbones["3x3"](torch.randn(1, 3, 64, 96))
    assert [tuple(level.shape[1:]) for level in levels] == [
        (64, 32, 48),
        (256, 16, 24),
        (512, 8, 12),
        (1024, 4, 6),
        (2048, 2, 3),
    ]


@pytest.mark.parametrize(("stride_on", "strided"), [("3x3", "conv2"), ("1x1", "conv1")])
def test_stride_sits_on_one_convolution_of_each_first_block(backbones, stride_on, strided):
    backbone = backbones[stride_on]
    strides = {
        name: module.stride
        for name, module in backbone.named_modules()
        if getattr(module, "stride", 1) == (2, 2)
    }
    expected = {f"layer{stage}.0.{name}" for stage in (2, 3, 4) for name in (strided, "downsample.0")}
    assert set(strides) == expected | {"conv1"}


def test_stride_changes_the_maps_from_the_second_stage_on(backbones):
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torchvision, original = backbones["3x3"](images), backbones["1x1"](images)
    equal = [torch.equal(left, right) for left, right in zip(torchvision, original, strict=True)]
    assert equal == [True, True, False, False, False]
    assert [level.shape for level in torchvision] == [level.shape for level in original]
