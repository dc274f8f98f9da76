"""Agreement with the published networks, to rounding in float64."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from filled_networks import fill, images
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from atal_ray.networks.f3net import F3Net
from atal_ray.networks.minet import MINet
from atal_ray.networks.pfsnet import PFSNet
from atal_ray.networks.protocol import SaliencyNetwork

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
REFERENCE = SHARED / "reference" / "networks"
pytestmark = pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared")
RELATIVE = 1e-8
CLASSES: dict[str, type[SaliencyNetwork]] = {"f3net": F3Net, "minet": MINet, "pfsnet": PFSNet}
SIZES = {  # parameters, numbers in buffers, keys
    "f3net": (25_536_710, 59_881, 694),
    "minet": (162_378_305, 79_608, 871),
    "pfsnet": (31_180_161, 62_694, 693),
}
CASES = {"train_2x128x128": (2, 128, 128), "eval_1x96x96": (1, 96, 96), "eval_1x96x160": (1, 96, 160)}


FILLED = ["f3net", "pfsnet", pytest.param("minet", marks=pytest.mark.slow)]


@pytest.fixture(scope="module", params=CLASSES)
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def facts(name) -> dict[str, Any]:
    return json.loads((REFERENCE / f"{name}_keys.json").read_text())


@pytest.fixture(scope="module")
def network(name) -> SaliencyNetwork:
    """Shapes without numbers."""
    with torch.device("meta"):
        return CLASSES[name]().double().eval()


@pytest.fixture(scope="module")
def numbers(facts) -> dict[str, np.ndarray]:
    """A number for each weight; MINet has 162 million of them, so its forward passes are slow tests."""
    return {key: fill(key, tuple(shape)) for key, shape in facts["state_dict"].items()}


@pytest.fixture(scope="module")
def outputs(name, network, numbers) -> dict[str, tuple[Tensor, ...]]:
    """The train pass comes first: it leaves the statistics of its batch for the passes in eval mode."""
    with torch.device("meta"):
        filled = CLASSES[name]()
    types = {key: value.dtype for key, value in network.state_dict().items()}
    state = {network.own_key(key): torch.as_tensor(values) for key, values in numbers.items()}
    filled.load_state_dict({key: value.to(types[key]) for key, value in state.items()}, assign=True)
    for module in filled.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        return {
            case: filled.train(case.startswith("train"))(images(*shape)).logits
            for case, shape in CASES.items()
        }


def test_keys_and_shapes_are_the_published_ones(network, facts):
    shapes = {key: list(value.shape) for key, value in network.state_dict().items()}
    assert shapes == {network.own_key(key): shape for key, shape in facts["state_dict"].items()}
    if not network.published_prefixes:
        assert list(shapes) == list(facts["state_dict"])


def test_published_and_own_keys_belong_to_each_other(network, facts):
    own = [network.own_key(key) for key in facts["state_dict"]]
    assert [network.published_key(key) for key in own] == list(facts["state_dict"])
    assert [network.own_key(key) for key in own] == own


def test_sizes(name, network, facts):
    parameters = sum(parameter.numel() for parameter in network.parameters())
    buffers = sum(buffer.numel() for buffer in network.buffers())
    assert (parameters, buffers, len(network.state_dict())) == SIZES[name]
    assert (facts["params"], facts["buffers"], facts["n_state_keys"]) == SIZES[name]


@pytest.mark.parametrize("side", ["320", "352"])
def test_multiplications_are_those_of_the_published_network(network, facts, side):
    with FlopCounterMode(display=False) as counter:
        network(torch.empty(1, 3, int(side), int(side), dtype=torch.float64, device="meta"))
    macs = counter.get_total_flops() / 2
    print(f"{type(network).__name__} at {side}: {macs / 1e9:.3f} GMAC")
    assert macs == pytest.approx(facts["macs_torch"][side], rel=1e-3)


@pytest.mark.parametrize("name", FILLED, indirect=True, scope="module")
def test_fill_is_that_of_the_reference(name, numbers, facts):
    total = sum(np.abs(values).sum(dtype=np.float64) for values in numbers.values())
    assert total == pytest.approx(facts["fill_checksum"], rel=1e-12)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", FILLED, indirect=True, scope="module")
def test_logits_equal_the_published_network(name, network, outputs, case):
    assert len(outputs[case]) == len(network.loss_weights)
    with np.load(REFERENCE / f"{name}_ref.npz") as expected:
        assert {key for key in expected if key.startswith(case)} == {
            f"{case}__out{i}" for i in range(len(outputs[case]))
        }
        for index, logits in enumerate(outputs[case]):
            reference = expected[f"{case}__out{index}"]
            assert logits.shape == reference.shape
            error = np.abs(logits.numpy() - reference).max() / np.abs(reference).max()
            print(f"{name} {case} output {index}: relative error {error:.1e}")
            assert error < RELATIVE
