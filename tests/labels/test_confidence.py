"""Labels and their confidence survive as one grey level a pixel."""

import numpy as np
import pytest
import torch

from atal_ray.labels.confidence import labels_of, soft_mask
from atal_ray.labels.points import UNSURE


def read(soft: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    labels, confidence = labels_of(torch.from_numpy(soft.astype(np.float32) / np.float32(255)))
    return labels.numpy(), confidence.numpy()


def test_labels_and_confidences_come_back() -> None:
    labels = np.array([[0, 1, 0, 1, UNSURE, UNSURE]], np.uint8)
    confidence = np.array([[1, 1, 0.1, 0.7, 1, 0]])
    soft = soft_mask(labels, confidence)
    assert soft[0, :2].tolist() == [0, 255]
    assert set(soft[0, 4:].tolist()) <= {127, 128}
    found, sure = read(soft)
    assert found[0, :4].tolist() == [0, 1, 0, 1]
    assert sure[0] == pytest.approx([1, 1, 0.1, 0.7, 0, 0], abs=0.01)
    assert sure[0, 4:].tolist() == [0, 0], "nothing is known there, exactly"


def test_the_confidence_of_every_grey_level_grows_away_from_the_middle() -> None:
    labels, sure = read(np.arange(256, dtype=np.uint8))
    assert labels.tolist() == [0] * 128 + [1] * 128
    assert sure[127] == sure[128] == 0
    assert (np.diff(sure[128:]) > 0).all()
    assert (np.diff(sure[:128]) < 0).all()
    assert sure[[0, 255]].tolist() == [1, 1]
