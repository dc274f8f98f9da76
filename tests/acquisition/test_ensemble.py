from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from atal_ray.acquisition.ensemble import homogenisation, mean_probability
from atal_ray.errors import DataError


@pytest.fixture
def outputs() -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.rand(2, 1, 4, 3, generator=generator) for _ in range(5)]


def test_eq_6_equals_the_loop(outputs: list[Tensor]) -> None:
    expected = np.zeros((2, 1, 4, 3))
    for position in np.ndindex(*expected.shape):
        for output in outputs:
            expected[position] += float(output[position])
        expected[position] /= len(outputs)
    mean = mean_probability(output for output in outputs)
    assert mean.dtype == torch.float32
    np.testing.assert_allclose(mean.numpy(), expected, atol=1e-6)


def test_mean_leaves_its_members_alone_and_repeats_to_the_bit(outputs: list[Tensor]) -> None:
    kept = [output.clone() for output in outputs]
    first, second = mean_probability(outputs), mean_probability(outputs)
    assert torch.equal(first, second)
    assert all(torch.equal(output, copy) for output, copy in zip(outputs, kept, strict=True))
    assert torch.equal(mean_probability(outputs[:1]), outputs[0])


def test_half_precision_is_added_in_float32() -> None:
    mean = mean_probability(
        [torch.full((1,), 0.5, dtype=torch.bfloat16)] * 3
        + [torch.full((1,), 0.50390625, dtype=torch.bfloat16)]
    )
    assert mean.item() == 0.5009765625


def test_mean_refuses_nothing_and_mixed_shapes(outputs: list[Tensor]) -> None:
    with pytest.raises(DataError, match="at least one snapshot"):
        mean_probability([])
    with pytest.raises(DataError, match="member 2"):
        mean_probability([outputs[0], outputs[1][:1]])


def test_eq_7_equals_the_loop(outputs: list[Tensor]) -> None:
    delta = [homogenisation(before, after) for before, after in pairwise(outputs)]
    for step in range(4):
        total = 0.0
        for position in np.ndindex(*outputs[0].shape):
            total += abs(float(outputs[step + 1][position]) - float(outputs[step][position]))
        assert delta[step] == pytest.approx(total / outputs[0].numel(), abs=1e-12)


def test_homogenisation_of_equal_and_opposite_outputs(outputs: list[Tensor]) -> None:
    assert homogenisation(outputs[0], outputs[0]) == 0
    assert homogenisation(torch.zeros(3), torch.ones(3)) == 1
    with pytest.raises(DataError, match="shapes"):
        homogenisation(torch.zeros(3), torch.zeros(1))
