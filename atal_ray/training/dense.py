"""One training image with its full mask, augmented as the networks' own recipes do it."""

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageEnhance

from atal_ray.config.training import Augment
from atal_ray.labels.geometry import Geometry

Pair = tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]

DEGREES = 10.0  # MINet's largest rotation, to either side
JITTER = 0.1  # and largest relative change of a colour
ENHANCERS = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)


def dense_sample(
    image: npt.NDArray[np.uint8],
    mask: npt.NDArray[np.uint8],
    augment: Augment,
    size: int,
    rng: np.random.Generator,
    soft: bool = False,
) -> Pair:
    """The augmented image uint8 [size, size, 3] and its target float32 [size, size] in [0, 1].

    Args:
        image: uint8 [H, W, 3].
        mask: uint8 [H, W], 0 background to 255 salient, from `images.read_soft_mask`.
        augment: "crop" keeps the soft edges of the mask, "rotate" makes it binary.
        size: side of the batch in pixels.
        rng: the source of every random number.
        soft: whether "rotate" keeps the grey levels too, which say how much a pixel counts.
    """
    return cropped(image, mask, size, rng) if augment == "crop" else rotated(image, mask, size, rng, soft)


def cropped(
    image: npt.NDArray[np.uint8], mask: npt.NDArray[np.uint8], size: int, rng: np.random.Generator
) -> Pair:
    """F3Net's and PFSNet's augmentation: crop, flip, then image and mask / 255 resized bilinearly.

    The mask is resized in floating point, as published. The image is rounded to whole levels, where F3Net
    keeps fractions.
    """
    geometry = Geometry.random(mask.shape[0], mask.shape[1], size, rng)
    return geometry.image(image), geometry.image(mask.astype(np.float32) / np.float32(255))


def rotated(
    image: npt.NDArray[np.uint8],
    mask: npt.NDArray[np.uint8],
    size: int,
    rng: np.random.Generator,
    soft: bool = False,
) -> Pair:
    """MINet's augmentation: resize, flip with p = 1/2, rotate by up to 10 degrees, jitter colours.

    The image is resized and rotated bilinearly, the mask by nearest pixel and then made binary at 0.5, unless
    it is soft. Corners that the rotation uncovers are black, and background.
    """
    picture = Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR)
    truth = Image.fromarray(mask).resize((size, size), Image.Resampling.NEAREST)
    if rng.integers(2):
        picture, truth = (one.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for one in (picture, truth))
    angle = rng.uniform(-DEGREES, DEGREES)
    picture = jittered(picture.rotate(angle, Image.Resampling.BILINEAR), rng)
    truth = truth.rotate(angle, Image.Resampling.NEAREST)
    target = np.asarray(truth, np.float32) / np.float32(255)
    return np.array(picture), target if soft else (target > 0.5).astype(np.float32)


def jittered(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Brightness, contrast and saturation, each times a factor uniform in [0.9, 1.1], in random order.

    It is what torchvision's ColorJitter does with 0.1 for each.
    """
    factors = rng.uniform(1 - JITTER, 1 + JITTER, len(ENHANCERS))
    for index in rng.permutation(len(ENHANCERS)):
        picture = ENHANCERS[index](picture).enhance(float(factors[index]))
    return picture
