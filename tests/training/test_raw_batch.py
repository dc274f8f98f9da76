"""What a device draws is what the CPU draws: targets exactly, images within a level."""

import numpy as np
import pytest
import torch

from atal_ray.labels.geometry import Geometry
from atal_ray.labels.points import UNSURE
from atal_ray.labels.target import draw_target
from atal_ray.training.raw_batch import RawBatch, RawSample

SIZE = 64
SIDES = [(40, 53), (64, 64), (91, 60), (7, 5), (1, 1), (300, 200), (65, 63)]


def drawn_by_both(seed: int):
    """The images and targets of a batch by the device's way and by the CPU's, and how the samples came."""
    random = np.random.default_rng(seed)
    samples, images, targets = [], [], []
    for height, width in SIDES:
        image = random.integers(256, size=(height, width, 3), dtype=np.uint8)
        known = random.choice(np.array([0, 1, UNSURE], np.uint8), (height, width))
        count = int(random.integers(0, 12))
        xy = np.stack([random.integers(width, size=count), random.integers(height, size=count)], 1)
        labels = random.choice(np.array([0, 1, UNSURE], np.uint8), count)
        geometry = Geometry.random(height, width, SIZE, random)
        samples.append(RawSample.cut(image, known, xy.astype(np.int32), labels, geometry))
        images.append(geometry.image(image))
        targets.append(draw_target(known, xy.astype(np.int32), labels, geometry))
    return RawBatch.pack(samples, SIZE).drawn(), np.stack(images), np.stack(targets), samples


@pytest.mark.parametrize("seed", range(8))
def test_targets_are_equal_and_images_within_one_level(seed):
    (drawn, drawn_targets), images, targets, _ = drawn_by_both(seed)
    assert (drawn.shape, drawn.dtype) == ((len(SIDES), 3, SIZE, SIZE), torch.uint8)
    assert drawn.is_contiguous(memory_format=torch.channels_last)
    assert np.array_equal(drawn_targets, targets)
    difference = np.abs(drawn.permute(0, 2, 3, 1).numpy().astype(int) - images)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.2  # OpenCV rounds its weights to 1 / 2048


def test_only_crops_larger_than_the_square_are_resized_before():
    *_, samples = drawn_by_both(0)
    assert [sample.image.shape[:2] == (SIZE, SIZE) for sample in samples] == [
        False, False, False, False, False, True, False,
    ]  # fmt: skip
    flips = [
        sample.flip for seed in range(8) for sample in drawn_by_both(seed)[3] if sample.image.shape[0] < 60
    ]
    assert {True, False} == set(flips)


def test_of_two_clicks_on_one_target_pixel_the_later_counts():
    image, known = np.zeros((100, 90, 3), np.uint8), np.full((100, 90), UNSURE, np.uint8)
    xy = np.array([[4, 10], [5, 10], [50, 72], [50, 73]], np.int32)
    labels = np.array([0, 1, 1, 0], np.uint8)
    geometry = Geometry.whole(100, 90, 80)
    expected = draw_target(known, xy, labels, geometry)
    _, target = RawBatch.pack([RawSample.cut(image, known, xy, labels, geometry)], 80).drawn()
    assert np.array_equal(target[0], expected)
    assert (expected != UNSURE).sum() == 2
