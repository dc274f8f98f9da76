"""One synthetic scene: a salient object that stands out from its background, among things that do not."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from atal_ray.data.synthetic.shapes import (
    SHAPES,
    TEXTURES,
    Contours,
    Floats,
    band,
    blob,
    clouds,
    coverage,
    ellipse,
    place,
)


@dataclass(frozen=True)
class _Mood:
    """How far colours lie from the background in a scene, in CIE Lab units, and how large its object is."""

    salient: tuple[float, float]
    distractor: tuple[float, float]
    texture: tuple[float, float]
    area: tuple[float, float]


# Distractors always differ from the background by less than half of what the object does: that is the rule to
# learn.
_CLEAR = _Mood(salient=(38, 70), distractor=(9, 15), texture=(4, 10), area=(0.08, 0.28))
_LOW_CONTRAST = _Mood(salient=(22, 28), distractor=(5, 9), texture=(2, 5), area=(0.08, 0.28))
_SMALL = _Mood(salient=(40, 70), distractor=(9, 14), texture=(4, 8), area=(0.025, 0.06))
_MOODS = ((_CLEAR, 0.6), (_LOW_CONTRAST, 0.2), (_SMALL, 0.2))


def render(
    generator: np.random.Generator, height: int, width: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """An image, uint8 [H, W, 3] in RGB, and its mask, uint8 [H, W] in {0, 1}."""
    mood = _MOODS[int(generator.choice(len(_MOODS), p=[share for _, share in _MOODS]))][0]
    base = _colour(generator)
    lab = _background(generator, base, mood, height, width)
    for _ in range(int(generator.integers(1, 5))):
        lab = _distractor(generator, lab, base, mood)
    if generator.random() < 0.35:
        lab = _clutter(generator, lab, base)
    centre = (generator.uniform(0.25, 0.75) * width, generator.uniform(0.25, 0.75) * height)
    if generator.random() < 0.25:  # a band behind the object is no occlusion
        lab, _ = _occlude(generator, lab, base, centre, mood)
    lab, mask = _object(generator, lab, base, centre, mood)
    if generator.random() < 0.35:
        lab, hidden = _occlude(generator, lab, base, centre, mood)
        mask = mask * (1 - hidden)
    return _expose(generator, lab), (mask > 0.5).astype(np.uint8)


def _background(generator: np.random.Generator, base: Floats, mood: _Mood, height: int, width: int) -> Floats:
    """A slope between two near colours, or a horizon between them, under a texture: Lab [H, W, 3]."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    angle = generator.uniform(0, 2 * np.pi)
    slope = np.cos(angle) * (x / width - 0.5) + np.sin(angle) * (y / height - 0.5)
    if generator.random() < 0.3:
        slope = np.clip(
            (y / height - generator.uniform(0.3, 0.7) + 0.05 * clouds(generator, height, width)) * 20,
            -0.5,
            0.5,
        )
    away = _direction(generator) * generator.uniform(4, 1.2 * mood.distractor[1])
    lab: Floats = base + slope[..., None] * away
    return _textured(generator, lab, mood)


def _distractor(generator: np.random.Generator, lab: Floats, base: Floats, mood: _Mood) -> Floats:
    """A shape of a colour close to the background's, up to the size of an object."""
    height, width = lab.shape[:2]
    area = generator.uniform(0.01, 0.12) * height * width
    centre = (generator.uniform(0, width), generator.uniform(0, height))
    contours = _contours(generator, centre, area)
    colour = base + _direction(generator) * generator.uniform(*mood.distractor)
    return _paint(generator, lab, coverage(contours, height, width), colour, mood)


def _clutter(generator: np.random.Generator, lab: Floats, base: Floats) -> Floats:
    """Many small marks of one bright colour, such as leaves or pebbles: strong contrast, but no object."""
    height, width = lab.shape[:2]
    colour = base + _direction(generator) * generator.uniform(20, 40)
    shape = SHAPES[int(generator.integers(len(SHAPES)))](generator)
    radius = generator.uniform(0.012, 0.022) * np.hypot(height, width)
    alpha = np.zeros((height, width), np.float32)
    for _ in range(int(generator.integers(12, 40))):
        centre = (generator.uniform(0, width), generator.uniform(0, height))
        one = place(shape, centre, radius * generator.uniform(0.7, 1.3), generator.uniform(0, 2 * np.pi))
        alpha = np.maximum(alpha, coverage(one, height, width))
    return _blend(lab, alpha, np.broadcast_to(colour, lab.shape))


def _object(
    generator: np.random.Generator, lab: Floats, base: Floats, centre: tuple[float, float], mood: _Mood
) -> tuple[Floats, Floats]:
    """The salient object, of one or two parts, and its shadow: the scene, and its coverage [H, W]."""
    height, width = lab.shape[:2]
    area = generator.uniform(*mood.area) * height * width
    parts = [_contours(generator, centre, area)]
    kind = generator.random()
    if kind < 0.3:
        parts.append(_attached(generator, centre, area))
    elif kind < 0.4:
        parts.append(_contours(generator, (width - centre[0], height - centre[1]), area / 2))
    if generator.random() < 0.4:
        lab = _shadow(generator, lab, coverage(parts[0], height, width))
    towards = _direction(generator)
    mask = np.zeros((height, width), np.float32)
    for contours in parts:
        alpha = coverage(contours, height, width)
        lab = _paint(generator, lab, alpha, base + towards * generator.uniform(*mood.salient), mood)
        mask = np.maximum(mask, alpha)
        if kind < 0.3:
            towards = _direction(generator)
    return lab, mask


def _attached(generator: np.random.Generator, centre: tuple[float, float], area: float) -> Contours:
    """A smaller part that overlaps the rim of an object, such as a head on a body."""
    angle, reach = generator.uniform(0, 2 * np.pi), np.sqrt(area / np.pi)
    rim = (centre[0] + reach * np.cos(angle), centre[1] + reach * np.sin(angle))
    shape = ellipse if generator.random() < 0.5 else blob
    return place(shape(generator), rim, 0.6 * reach, generator.uniform(0, 2 * np.pi))


def _occlude(
    generator: np.random.Generator, lab: Floats, base: Floats, centre: tuple[float, float], mood: _Mood
) -> tuple[Floats, Floats]:
    """A band near the centre of the object, such as a branch: the scene, and its coverage [H, W]."""
    height, width = lab.shape[:2]
    spread = 0.06 * np.hypot(height, width)
    through = (centre[0] + generator.normal(0, spread), centre[1] + generator.normal(0, spread))
    alpha = coverage(
        band(generator, through, generator.uniform(0.03, 0.08) * np.hypot(height, width), height, width),
        height,
        width,
    )
    colour = base + _direction(generator) * generator.uniform(*mood.distractor) * 1.3
    return _paint(generator, lab, alpha, colour, mood), alpha


def _contours(generator: np.random.Generator, centre: tuple[float, float], area: float) -> Contours:
    """A random shape of about this area (pixels) around a centre (x, y)."""
    contours = SHAPES[int(generator.integers(len(SHAPES)))](generator)
    unit = cv2.contourArea(contours[0]) - sum(cv2.contourArea(hole) for hole in contours[1:])
    return place(contours, centre, float(np.sqrt(area / unit)), generator.uniform(0, 2 * np.pi))


def _shadow(generator: np.random.Generator, lab: Floats, alpha: Floats) -> Floats:
    """A soft dark patch beside the object, which is not part of it."""
    shift = generator.uniform(-0.06, 0.06, 2) * np.hypot(*alpha.shape)
    move = np.array([[1, 0, shift[0]], [0, 1, abs(shift[1])]], np.float32)
    soft = cv2.GaussianBlur(cv2.warpAffine(alpha, move, alpha.shape[::-1]), (0, 0), 3)
    return np.asarray(lab - np.array([14, 0, 0], np.float32) * soft[..., None], np.float32)


def _paint(generator: np.random.Generator, lab: Floats, alpha: Floats, colour: Floats, mood: _Mood) -> Floats:
    """A textured and shaded surface of one colour where `alpha` covers the scene."""
    height, width = alpha.shape
    shade = generator.uniform(-0.5, 0.5) * mood.texture[1] * clouds(generator, height, width)
    surface = colour + shade[..., None] * np.array([1, 0, 0], np.float32)
    return _blend(lab, alpha, _textured(generator, surface, mood))


def _textured(generator: np.random.Generator, lab: Floats, mood: _Mood) -> Floats:
    """Lab [H, W, 3] with one texture, mostly in its lightness."""
    texture = TEXTURES[int(generator.integers(len(TEXTURES)))](generator, *lab.shape[:2])
    tint = generator.uniform(-0.4, 0.4, 3).astype(np.float32)
    tint[0] = 1
    return lab + texture[..., None] * tint * np.float32(generator.uniform(*mood.texture))


def _blend(lab: Floats, alpha: Floats, surface: Floats) -> Floats:
    blended: Floats = lab + alpha[..., None] * (surface - lab)
    return blended


def _colour(generator: np.random.Generator) -> Floats:
    """A background colour away from the ends of the gamut, so that objects can differ in any direction."""
    hue, chroma = generator.uniform(0, 2 * np.pi), generator.uniform(0, 28)
    return np.array([generator.uniform(35, 68), chroma * np.cos(hue), chroma * np.sin(hue)], np.float32)


def _direction(generator: np.random.Generator) -> Floats:
    """A unit vector in Lab with little more lightness than colour at most."""
    hue, tilt = generator.uniform(0, 2 * np.pi), generator.uniform(-0.9, 0.9)
    return np.array([np.sin(tilt), np.cos(tilt) * np.cos(hue), np.cos(tilt) * np.sin(hue)], np.float32)


def _expose(generator: np.random.Generator, lab: Floats) -> NDArray[np.uint8]:
    """The scene as a camera gives it: uneven light, slight blur, noise; uint8 RGB."""
    height, width = lab.shape[:2]
    light = 1 + 0.12 * cv2.resize(
        generator.uniform(-1, 1, (2, 2)).astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR
    )
    lit = np.clip(
        lab * np.stack([light, np.ones_like(light), np.ones_like(light)], axis=2),
        [0, -120, -120],
        [100, 120, 120],
    )
    rgb = cv2.GaussianBlur(
        cv2.cvtColor(lit.astype(np.float32), cv2.COLOR_Lab2RGB), (0, 0), generator.uniform(0.4, 0.8)
    )
    noisy = 255 * rgb + generator.normal(0, generator.uniform(1.5, 4), rgb.shape)
    return np.asarray(np.clip(np.round(noisy), 0, 255), np.uint8)
