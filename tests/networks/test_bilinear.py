import pytest
import torch
import torch.nn.functional as F

from atal_ray.networks.bilinear import bilinear, weights

SIZES = [((11, 11), (352, 352)), ((7, 9), (14, 18)), ((20, 30), (7, 11)), ((1, 1), (4, 3)), ((4, 3), (1, 1))]


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("channels", [1, 5])
@pytest.mark.parametrize("stored", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("old", "new"), SIZES)
def test_values_and_gradients_are_those_of_interpolate(old, new, stored, channels, align_corners):
    torch.manual_seed(0)
    x = torch.randn(2, channels, *old).contiguous(memory_format=stored)
    mine, theirs = (x.clone().requires_grad_() for _ in range(2))
    resized = bilinear(mine, new, align_corners=align_corners)
    expected = F.interpolate(theirs, size=new, mode="bilinear", align_corners=align_corners)
    torch.testing.assert_close(resized, expected, atol=1e-4, rtol=1e-4)
    if channels > 1 and min(old) > 1:  # a single pixel lies in both formats
        assert resized.is_contiguous(memory_format=stored)
    gradient = torch.randn_like(expected)
    resized.backward(gradient)
    expected.backward(gradient)
    torch.testing.assert_close(mine.grad, theirs.grad, atol=1e-3, rtol=1e-4)


def test_logits_are_resized_in_float32_and_features_in_their_own_type():
    for channels, expected in ((1, torch.float32), (4, torch.bfloat16)):
        assert bilinear(torch.ones(1, channels, 4, 4, dtype=torch.bfloat16), (8, 8)).dtype == expected


def test_weights_are_made_once():
    arguments = (3, 6, False, torch.device("cpu"), torch.float32)
    assert weights(*arguments) is weights(*arguments)


def test_a_compiler_takes_it_several_times():
    def resized(x):
        return bilinear(bilinear(x, (8, 8)).relu(), (16, 16)) + bilinear(x, (16, 16))

    x = torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    mine, theirs = (x.clone().requires_grad_() for _ in range(2))
    compiled, plain = torch.compile(resized, backend="aot_eager", fullgraph=True)(mine), resized(theirs)
    torch.testing.assert_close(compiled, plain)
    compiled.square().sum().backward()
    plain.square().sum().backward()
    torch.testing.assert_close(mine.grad, theirs.grad)
