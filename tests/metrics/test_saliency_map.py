import numpy as np
import pytest

from atal_ray.errors import DataError
from atal_ray.metrics.saliency_map import to_uint8


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_levels_survive_and_the_rest_is_rounded_to_the_nearest(dtype: type) -> None:
    levels = np.arange(256, dtype=dtype)[None]
    np.testing.assert_array_equal(to_uint8(levels / 255), levels)
    np.testing.assert_array_equal(to_uint8((levels[:, 1:] - dtype(0.4)) / 255), levels[:, 1:])
    np.testing.assert_array_equal(to_uint8((levels[:, :-1] + dtype(0.4)) / 255), levels[:, :-1])


def test_halves_go_to_the_even_level() -> None:
    assert to_uint8(np.array([[0.5, 0.1, 0.3]])).tolist() == [[128, 26, 76]]  # 127.5, 25.5, 76.5


@pytest.mark.parametrize("value", [-0.001, 1.001, np.nan, np.inf])
def test_what_is_no_probability_is_refused(value: float) -> None:
    with pytest.raises(DataError, match=r"0042: a probability is NaN or outside \[0, 1\]"):
        to_uint8(np.array([[0.5, value]]), name="0042")


@pytest.mark.parametrize("array", [np.zeros((2, 2), np.uint8), np.zeros((1, 2, 2), np.float32)])
def test_other_arrays_are_refused(array: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"expected float \[H, W\]"):
        to_uint8(array)
