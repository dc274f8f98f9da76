from math import log2
from typing import get_args

import numpy as np
import pytest

from atal_ray.acquisition.uncertainty import REGION_NAMES, Form, bvsb, difference, region_kind

FORMS = get_args(Form)


@pytest.fixture
def maps() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    p, p_adv = rng.random((2, 6, 5), dtype=np.float32)
    p[0, :3], p_adv[0, :3] = (0, 1, 0.5), (1, 1, 0.5)
    return p, p_adv


def naive(p: float, p_adv: float, form: str) -> float:
    best, second = max(p, 1 - p), min(p, 1 - p)
    best_adv, second_adv = max(p_adv, 1 - p_adv), min(p_adv, 1 - p_adv)
    margin, margin_adv = best - second, best_adv - second_adv
    if form == "flip-margin":
        return (1 if (p > 0.5) != (p_adv > 0.5) else 0) + 1 - min(margin, margin_adv)
    if form == "margin-change":
        return abs(margin - margin_adv)
    if form == "entropy":
        return -sum(q * log2(q) for q in (p, 1 - p) if q > 0)
    return 1 - margin


@pytest.mark.parametrize("form", FORMS)
def test_eq_3_equals_the_loop(maps: tuple[np.ndarray, np.ndarray], form: Form) -> None:
    p, p_adv = maps
    score = difference(p, p_adv, form)
    assert score.dtype == np.float32
    assert np.isfinite(score).all()
    for position in np.ndindex(*p.shape):
        assert score[position] == pytest.approx(
            naive(float(p[position]), float(p_adv[position]), form), abs=5e-6
        )


def test_bvsb_is_the_gap_of_the_two_classes() -> None:
    np.testing.assert_allclose(
        bvsb(np.array([0, 0.25, 0.5, 0.9, 1], np.float32)), [1, 0.5, 0, 0.8, 1], atol=1e-6
    )


def test_the_printed_form_is_blind_to_a_confident_flip() -> None:
    p = np.array([0.9, 0.9, 0.52, 0.2], np.float32)
    p_adv = np.array([0.1, 0.6, 0.51, 0.2], np.float32)
    assert difference(p, p_adv, "margin-change")[0] == pytest.approx(0, abs=1e-6)
    assert difference(p, p_adv, "margin-change").argmax() == 1
    assert difference(p, p_adv, "flip-margin").argmax() == 0


def test_flip_margin_ranks_flips_by_their_smaller_margin() -> None:
    p = np.array([0.9, 0.6, 0.5, 0.99], np.float32)
    p_adv = np.array([0.1, 0.1, 0.5, 0.01], np.float32)
    assert difference(p, p_adv, "flip-margin").argsort()[::-1].tolist() == [1, 0, 3, 2]


def test_regions_follow_class_and_clean_margin() -> None:
    p = np.array([0.9, 0.9, 0.6, 0.5, 0.75, 0.1], np.float32)
    p_adv = np.array([0.6, 0.4, 0.4, 0.1, 0.4, 0.9], np.float32)
    kind = region_kind(p, p_adv, near_boundary=0.5)
    assert kind.dtype == np.uint8
    assert [REGION_NAMES[value] for value in kind] == ["SR", "PIR", "PSR", "SR", "PSR", "PIR"]
