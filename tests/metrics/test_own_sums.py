"""Metrics that a configuration adds: exact sums in any order, and what they refuse."""

import numpy as np
import pytest

from atal_ray.errors import ConfigError, DataError
from atal_ray.metrics.image_metric import ImageMetric
from atal_ray.metrics.iou import Iou
from atal_ray.metrics.own_sums import METRICS, OwnSums, label_of

RNG = np.random.default_rng(0)
IMAGES = [(RNG.integers(256, size=(5, 7)).astype(np.uint8), RNG.random((5, 7)) < 0.4) for _ in range(9)]


class Broken(ImageMetric):
    """Divides by nothing."""

    higher_is_better = False

    def __call__(self, saliency: np.ndarray, mask: np.ndarray) -> float:
        return float("nan")


def test_iou_counts_pixels() -> None:
    for saliency, mask in IMAGES:
        pairs = [(s > 127, m) for s, m in zip(saliency.ravel(), mask.ravel(), strict=True)]
        both, either = sum(s and m for s, m in pairs), sum(s or m for s, m in pairs)
        assert Iou()(saliency, mask) == pytest.approx(both / either)
    assert Iou()(np.zeros((2, 2), np.uint8), np.zeros((2, 2), bool)) == 1


def test_sums_do_not_depend_on_shards_or_their_order() -> None:
    whole = OwnSums(["iou"])
    for saliency, mask in IMAGES:
        whole.add(saliency, mask, "a")
    parts = []
    for start in (6, 0, 3):
        part = OwnSums(["iou"])
        for saliency, mask in IMAGES[start : start + 3]:
            part.add(saliency, mask, "a")
        parts.append(part.state())
    assert OwnSums.of(["iou"], parts).means() == whole.means()
    assert whole.means()["iou"] == pytest.approx(np.mean([Iou()(*image) for image in IMAGES]))


def test_what_cannot_be_summed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(METRICS), "find", lambda *_: Broken)
    with pytest.raises(DataError, match="the metric mine:Broken gives nan for scene-1"):
        OwnSums(["mine:Broken"]).add(*IMAGES[0], "scene-1")
    assert label_of("mine:Broken") == "Broken ↓"


def test_an_unknown_metric_is_a_sentence() -> None:
    with pytest.raises(ConfigError, match=r"data\.metrics is 'iuo', did you mean iou"):
        OwnSums(["iuo"])
