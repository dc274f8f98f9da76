"""Forward passes of small networks with fixed weights, against values recorded on the commit whose full-size
networks gave the published networks' logits to 1e-8 (test_reference.py compares those, where ../shared is).
"""

import pytest
import torch
from filled_networks import fill_network, images
from torch import Tensor

from atal_ray.networks.f3net import F3Net
from atal_ray.networks.light import LightBackbone
from atal_ray.networks.minet import MINet
from atal_ray.networks.pfsnet import PFSNet
from atal_ray.networks.protocol import SaliencyNetwork

RECORDED: dict[str, list[tuple[float, ...]]] = {
    "f3net": [
        (685.912386, 698.2232918, 0.05993492241, 0.1127099629),
        (-605.7165555, 626.4650899, -0.06202469238, 0.03433523849),
        (270.8831393, 313.407078, 0.01885439785, 0.1051878043),
        (-1249.208777, 1266.087874, -0.1248383135, 0.03587730946),
        (-502.0173995, 649.9879581, -0.09107881221, 0.05862038162),
        (520.1279283, 1655.3417, -0.1209209613, 0.3786102298),
        (293.4395554, 293.4395554, 0.0, 0.1787869908),
        (-2392.821123, 5131.551561, 0.2104997277, 2.633427897),
        (-1796.228508, 4131.83447, -2.780433056, 1.508630965),
        (-1027.552979, 3697.458483, -0.6827656126, 2.324138523),
        (1302.913892, 3817.681971, -0.9654188018, 2.008518192),
        (-2032.982334, 4225.30397, -0.8608592184, 0.9877417417),
        (365.7685879, 4714.826306, -0.3230884836, 1.528523083),
        (2135.4418, 2135.4418, 0.1604314892, 7.099010781),
    ],
    "minet": [
        (-485.6693933, 1347.766555, -0.06063693273, 0.6466211798),
        (14863.2613, 14863.2613, 0.1091968675, 1.610350132),
        (2442.236124, 6506.493453, -1.053772875, 6.282515494),
        (20631.42745, 20631.42745, 0.0, 6.571243526),
    ],
    "pfsnet": [
        (51.34553719, 60.02091253, 0.003968531515, 0.02934856589),
        (523.6540259, 523.6540259, 0.0537516128, 0.07662768009),
        (-2763.716882, 5570.513187, 0.9211695733, 2.23781681),
        (8395.970925, 8395.970925, 3.411661413, 7.920266115),
    ],
}
"""Of each of the logits and of the features, in evaluation and then in training mode: sum, sum of absolute
values, one value, maximum.
"""


@pytest.mark.parametrize(("name", "network"), [("f3net", F3Net), ("minet", MINet), ("pfsnet", PFSNet)])
def test_outputs_are_the_recorded_ones(name: str, network: type[F3Net] | type[MINet] | type[PFSNet]) -> None:
    filled = network(LightBackbone(), width=8).double()
    fill_network(filled)
    found = [facts(tensor) for training in (False, True) for tensor in outputs(filled, training)]
    assert found == [pytest.approx(values, rel=1e-7) for values in RECORDED[name]]


def outputs(network: SaliencyNetwork, training: bool) -> tuple[Tensor, ...]:
    with torch.no_grad():
        output = network.train(training)(images(2, 64, 96))
    return (*output.logits, output.features)


def facts(tensor: Tensor) -> list[float]:
    flat = tensor.flatten()
    return [float(value) for value in (flat.sum(), flat.abs().sum(), flat[len(flat) // 3], flat.max())]
