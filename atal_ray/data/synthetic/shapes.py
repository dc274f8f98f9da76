"""Outlines and textures that synthetic scenes are made of."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Contours = list[Floats]
"""Closed outlines, each [N, 2] as (x, y) within about the unit circle; where two overlap there is a hole."""

_OVERSAMPLE = 4


def ellipse(generator: np.random.Generator) -> Contours:
    """An ellipse, round to narrow."""
    return [_polar(np.ones(64)) * _axes(generator, 0.5)]


def polygon(generator: np.random.Generator) -> Contours:
    """A polygon of three to seven corners."""
    corners = int(generator.integers(3, 8))
    return [_polar(generator.uniform(0.75, 1.0, corners)) * _axes(generator, 0.6)]


def star(generator: np.random.Generator) -> Contours:
    """A star of four to eight arms."""
    arms = int(generator.integers(4, 9))
    return [_polar(np.tile([1.0, generator.uniform(0.4, 0.65)], arms))]


def ring(generator: np.random.Generator) -> Contours:
    """A disc with a hole."""
    axes = _axes(generator, 0.7)
    return [_polar(np.ones(64)) * axes, _polar(np.full(64, generator.uniform(0.35, 0.6))) * axes]


def blob(generator: np.random.Generator) -> Contours:
    """A smooth closed curve of a few random harmonics."""
    angles = np.linspace(0, 2 * np.pi, 128, endpoint=False)
    radius = np.ones_like(angles)
    for order in range(2, 7):
        radius += generator.uniform(0, 0.45 / order) * np.cos(
            order * angles + generator.uniform(0, 2 * np.pi)
        )
    return [_polar(radius / radius.max()) * _axes(generator, 0.6)]


SHAPES: tuple[Callable[[np.random.Generator], Contours], ...] = (ellipse, polygon, star, ring, blob)


def place(contours: Contours, centre: tuple[float, float], radius: float, angle: float) -> Contours:
    """The outlines turned by `angle` (radians), scaled to `radius` and moved to `centre` (x, y, pixels)."""
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]], np.float32)
    return [(points @ turn * radius + np.array(centre, np.float32)).astype(np.float32) for points in contours]


def coverage(contours: Contours, height: int, width: int) -> Floats:
    """The share of each pixel that lies inside of the outlines (in pixels), [H, W] in [0, 1]."""
    canvas = np.zeros((height * _OVERSAMPLE, width * _OVERSAMPLE), np.uint8)
    cv2.fillPoly(canvas, [np.round(points * _OVERSAMPLE).astype(np.int32) for points in contours], 255)
    small: Floats = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    return small


def band(
    generator: np.random.Generator, through: tuple[float, float], thickness: float, height: int, width: int
) -> Contours:
    """A bent band across the image that passes `through` a point; in pixels."""
    angle = generator.uniform(0, np.pi)
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]])
    steps = np.linspace(-1, 1, 24)
    reach = 1.2 * np.hypot(height, width)
    bend = generator.uniform(-0.25, 0.25) * reach * steps**2
    spine = np.array(through) + reach * steps[:, None] * along + bend[:, None] * across
    sides = spine + thickness / 2 * across, (spine - thickness / 2 * across)[::-1]
    return [np.concatenate(sides).astype(np.float32)]


def clouds(generator: np.random.Generator, height: int, width: int) -> Floats:
    """Noise of several octaves, [H, W], about -1 to 1."""
    total = np.zeros((height, width), np.float32)
    for cell, weight in ((48, 1.0), (20, 0.6), (9, 0.4), (4, 0.25)):
        grid = generator.standard_normal((height // cell + 3, width // cell + 3)).astype(np.float32)
        total += weight * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    return _unit(total)


def grain(generator: np.random.Generator, height: int, width: int) -> Floats:
    """Fine noise such as gravel, or drawn out like grass, [H, W], about -1 to 1."""
    noise = generator.standard_normal((height, width)).astype(np.float32)
    blade = (int(generator.integers(1, 3)), int(generator.integers(2, 9)))
    kernel = blade if generator.random() < 0.5 else blade[::-1]
    return _unit(cv2.blur(noise, kernel))


def stripes(generator: np.random.Generator, height: int, width: int) -> Floats:
    """Wavy stripes, [H, W] in [-1, 1]."""
    angle, period = generator.uniform(0, np.pi), generator.uniform(5, 20)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    phase = 2 * np.pi / period * (x * np.cos(angle) + y * np.sin(angle)) + generator.uniform(
        0.2, 1.5
    ) * clouds(generator, height, width)
    return np.asarray(np.sin(phase), np.float32)


def tiles(generator: np.random.Generator, height: int, width: int) -> Floats:
    """A chequered pattern whose two levels vary from tile to tile, [H, W] in [-1, 1]."""
    cell = int(generator.integers(6, 16))
    rows, columns = height // cell + 2, width // cell + 2
    level = (
        np.add.outer(np.arange(rows), np.arange(columns)) % 2
        - 0.5
        + generator.uniform(-0.5, 0.5, (rows, columns))
    )
    return np.repeat(np.repeat(level, cell, 0), cell, 1)[:height, :width].astype(np.float32)


def spots(generator: np.random.Generator, height: int, width: int) -> Floats:
    """Two levels cut out of noise, with soft edges, [H, W] in [-1, 1]."""
    return np.asarray(
        np.tanh(4 * (clouds(generator, height, width) + generator.uniform(-0.3, 0.3))), np.float32
    )


TEXTURES: tuple[Callable[[np.random.Generator, int, int], Floats], ...] = (
    clouds,
    grain,
    stripes,
    tiles,
    spots,
)


def _polar(radius: NDArray[np.float64]) -> Floats:
    """The closed outline with these radii at equal angles."""
    angles = np.linspace(0, 2 * np.pi, len(radius), endpoint=False)
    return np.stack([radius * np.cos(angles), radius * np.sin(angles)], axis=1).astype(np.float32)


def _axes(generator: np.random.Generator, least: float) -> Floats:
    return np.array([1.0, generator.uniform(least, 1.0)], np.float32)


def _unit(values: Floats) -> Floats:
    """Zero mean, and two standard deviations at 1."""
    return np.asarray((values - values.mean()) / (2 * values.std() + 1e-6), np.float32)
