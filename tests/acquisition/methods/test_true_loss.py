"""The true loss against its definition."""

import numpy as np
import pytest

from atal_ray.acquisition.methods.true_loss import TrueLoss
from atal_ray.acquisition.seen import Seen


def test_it_is_the_loss_of_the_mask() -> None:
    p = np.array([[0.9, 0.2], [0.0, 1.0]], np.float32)
    mask = np.array([[True, True], [True, False]])
    found = TrueLoss()(Seen(p, mask=mask))
    assert found[0, 0] == pytest.approx(-np.log(0.9))
    assert found[0, 1] == pytest.approx(-np.log(0.2))
    assert found[1, 0] == found[1, 1] == pytest.approx(TrueLoss.top)
