"""Agreement with the published F3Net, to rounding in float64."""

import json
import math
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from atal_ray.errors import DataError
from atal_ray.networks.f3net import CrossFeature, F3Net
from atal_ray.networks.light import LightBackbone

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
REFERENCE = SHARED / "reference" / "networks"
needs_shared = pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared")
RELATIVE = 1e-8


@pytest.fixture(scope="module")
def facts() -> dict:
    return json.loads((REFERENCE / "f3net_keys.json").read_text())


@pytest.fixture(scope="module")
def expected() -> dict[str, np.ndarray]:
    with np.load(REFERENCE / "f3net_ref.npz") as arrays:
        return dict(arrays)


def fill(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers that depend on the key alone, of the scale that its parameter has."""
    rng = np.random.Generator(np.random.PCG64(zlib.crc32(key.encode())))
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape)
    if key.endswith("running_mean"):
        values = 0.05 * rng.standard_normal(shape)
    elif key.endswith("running_var"):
        values = 1 + 0.1 * rng.random(shape)
    elif len(shape) == 4:
        values = rng.standard_normal(shape) * math.sqrt(1 / math.prod(shape[1:]))
    elif key.endswith(".bias"):
        values = 0.02 * rng.standard_normal(shape)
    else:
        values = 1 + 0.1 * rng.standard_normal(shape)
    return values.astype(np.float32)


def images(batch: int, height: int, width: int) -> Tensor:
    rng = np.random.Generator(np.random.PCG64(12345))
    return torch.from_numpy(rng.standard_normal((batch, 3, height, width)).astype(np.float32)).double()


@pytest.fixture(scope="module")
def filled() -> F3Net:
    network = F3Net().double()
    network.load_state_dict({key: torch.as_tensor(fill(key, tuple(value.shape))) for key, value in network.state_dict().items()})
    return network


@pytest.fixture(scope="module")
def outputs(filled) -> dict[str, tuple[Tensor, ...]]:
    """The train pass comes first: it leaves the statistics of its batch for the passes in eval mode."""
    with torch.no_grad():
        for module in filled.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 1.0
        found = {"train_2x128x128": filled.train()(images(2, 128, 128)).logits}
        filled.eval()
        found["eval_1x96x96"] = filled(images(1, 96, 96)).logits
        found["eval_1x96x160"] = filled(images(1, 96, 160)).logits
    return found


@needs_shared
def test_keys_shapes_and_size_are_the_published_ones(facts):
    network = F3Net()
    state = network.state_dict()
    assert list(state) == list(facts["state_dict"])
    assert {key: list(value.shape) for key, value in state.items()} == facts["state_dict"]
    assert len(state) == 694
    assert sum(parameter.numel() for parameter in network.parameters()) == facts["params"] == 25_536_710


@needs_shared
def test_fill_is_that_of_the_reference(facts):
    total = sum(np.abs(fill(key, tuple(shape)).astype(np.float64)).sum() for key, shape in facts["state_dict"].items())
    assert total == pytest.approx(facts["fill_checksum"], rel=1e-12)


@needs_shared
@pytest.mark.parametrize("case", ["train_2x128x128", "eval_1x96x96", "eval_1x96x160"])
def test_logits_equal_the_published_network(outputs, expected, case):
    assert len(outputs[case]) == 6
    for index, logits in enumerate(outputs[case]):
        reference = expected[f"{case}__out{index}"]
        assert logits.shape == reference.shape
        error = np.abs(logits.numpy() - reference).max() / np.abs(reference).max()
        print(f"{case} output {index}: relative error {error:.1e}")
        assert error < RELATIVE


def test_features_are_the_input_of_the_predicting_head(filled):
    filled.eval()
    with torch.no_grad():
        output = filled(images(1, 64, 64))
        head = filled.linearp2(output.features)
    assert output.features.shape == (1, filled.feature_channels, 16, 16)
    resized = nn.functional.interpolate(head, size=(64, 64), mode="bilinear", align_corners=False)
    torch.testing.assert_close(output.logits[filled.prediction], resized)


def test_cross_feature_is_the_two_branch_product():
    torch.manual_seed(0)
    module = CrossFeature(4).double().eval()
    left, down = torch.randn(2, 4, 8, 6).double(), torch.randn(2, 4, 4, 3).double()

    def step(number: str, x: Tensor) -> Tensor:
        parts = dict(module.named_children())
        return parts[f"bn{number}"](parts[f"conv{number}"](x)).clamp(min=0)

    down_resized = nn.functional.interpolate(down, size=(8, 6), mode="bilinear", align_corners=False)
    h1, v1 = step("1h", left), step("1v", down_resized)
    product = step("2h", h1) * step("2v", v1)
    fine, coarse = module(left, down)
    torch.testing.assert_close(fine, step("4h", step("3h", product) + h1))
    torch.testing.assert_close(coarse, step("4v", step("3v", product) + v1))


@pytest.mark.parametrize("size", [(64, 64), (96, 96), (64, 128)])
def test_logits_have_the_size_of_the_input(size):
    network = F3Net(LightBackbone(), width=8)
    output = network(torch.randn(2, 3, *size))
    assert len(output.logits) == len(network.loss_weights) == 6
    assert {tuple(logits.shape) for logits in output.logits} == {(2, 1, *size)}
    assert output.features.shape == (2, network.feature_channels, size[0] // 4, size[1] // 4)


def test_sides_that_are_no_multiple_of_32_are_refused():
    with pytest.raises(DataError, match=r"100x64 px.*multiples of 32"):
        F3Net(LightBackbone(), width=8)(torch.zeros(1, 3, 64, 100))


def test_every_parameter_gets_a_gradient():
    torch.manual_seed(0)
    network = F3Net(LightBackbone(), width=8)
    sum(logits.square().mean() for logits in network(torch.randn(2, 3, 64, 64)).logits).backward()
    assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []


def test_groups_leave_out_the_stem():
    network = F3Net()
    groups = {group["name"]: sum(p.numel() for p in group["params"]) for group in network.parameter_groups(0.05, 5e-4)}
    assert groups == {"head": 25_536_710 - 23_508_032, "backbone": 23_508_032 - 9_408 - 128}
    frozen = [name for name, parameter in network.named_parameters() if not parameter.requires_grad]
    assert frozen == ["bkbone.conv1.weight", "bkbone.bn1.weight", "bkbone.bn1.bias"]


def test_equal_seeds_give_equal_weights():
    states = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        states.append(F3Net(LightBackbone(), width=8).linearp1.weight)
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])
