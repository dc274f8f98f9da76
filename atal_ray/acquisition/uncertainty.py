"""Uncertainty of a pixel from its clean and its adversarial probability: BvSB, Diff (Eq. 3), the regions."""

from typing import TYPE_CHECKING, Any, Literal, TypeVar, assert_never

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # PyTorch takes two seconds to load, and the report reads the names of regions
    from torch import Tensor

Form = Literal["flip-margin", "margin-change", "entropy", "margin"]
"""A form of `difference`."""
Probability = NDArray[np.floating[Any]]
Values = TypeVar("Values", Probability, "Tensor")
"""Arrays, or tensors on any device: the same operations, so but for `entropy` the same bits."""

REGION_NAMES = ("SR", "PIR", "PSR")
"""Names of the values of `region_kind`: safety, perturbation-insensitive, perturbation-sensitive region."""

_LEAST = 1e-7  # keeps log2 finite, and 1 - _LEAST is still below 1 in float32


def bvsb(p: Values) -> Values:
    """Best-versus-second-best margin |p - (1 - p)| of the two classes: 0 at the decision boundary, 1 if
    certain.

    Args:
        p: salient probability in [0, 1], any shape; the result has the same.
    """
    return abs(2 * p - 1)


def entropy(p: Values) -> Values:
    """Binary entropy in bits, -p log2 p - (1 - p) log2(1 - p).

    Args:
        p: salient probability in [0, 1], any shape; the result has the same.
    """
    inside = p.clip(_LEAST, 1 - _LEAST)
    return -inside * _log2(inside) - (1 - inside) * _log2(1 - inside)


def _log2(x: Values) -> Values:
    return np.log2(x) if isinstance(x, np.ndarray) else x.log2()


def difference(p: Values, p_adv: Values, form: Form) -> Values:
    """Uncertainty score u (Diff of Eq. 3): the larger, the more uncertain.

    * flip-margin (the default): [flipped] + 1 - min(BvSB(p), BvSB(p_adv)): flipped pixels first, the
      smallest margin first among them.
    * margin-change: |BvSB(p) - BvSB(p_adv)| as printed; it does not see a confident flip such as 0.9 to 0.1.
    * entropy: binary entropy of p in bits, clean image only.
    * margin: 1 - BvSB(p), clean image only.

    Args:
        p: salient probability of the clean image, any shape.
        p_adv: the same of the adversarial image.
        form: one of the above.

    Returns:
        Scores of the shape and type of `p`, in [0, 2] for flip-margin and [0, 1] otherwise.
    """
    match form:
        case "flip-margin":
            flipped = (p > 0.5) != (p_adv > 0.5)
            margin: Values = bvsb(p).clip(max=bvsb(p_adv))
            uncertain: Values = 1 - margin + flipped
            return uncertain
        case "margin-change":
            return abs(bvsb(p) - bvsb(p_adv))
        case "entropy":
            return entropy(p)
        case "margin":
            return 1 - bvsb(p)
        case _:
            assert_never(form)


def region_kind(p: Probability, p_adv: Probability, near_boundary: float) -> NDArray[np.uint8]:
    """Which region a pixel belongs to (section "Adversarial Attack Triggering Uncertainty").

    Args:
        p: salient probability of the clean image, any shape; a pixel is salient above 0.5.
        p_adv: the same of the adversarial image.
        near_boundary: a clean margin up to this is near the decision boundary.

    Returns:
        0 where the class is unchanged (SR), 1 where it flips from a larger clean margin (PIR), 2 where it
        flips from near the boundary (PSR); see REGION_NAMES.
    """
    flipped = np.not_equal(p > 0.5, p_adv > 0.5)
    return np.where(flipped, np.where(bvsb(p) <= near_boundary, 2, 1), 0).astype(np.uint8)
