"""Of a clicked superpixel the pixels that look like the click keep its label."""

import numpy as np
import pytest

from atal_ray.labels.points import UNSURE
from atal_ray.labels.regions import region_labels
from atal_ray.labels.sieve import FLOOR, PixelMap, finer_at_edges, sieved

HEIGHT, WIDTH = 6, 8


@pytest.fixture
def superpixels() -> np.ndarray:
    """A left and a right half."""
    return np.repeat(np.arange(2, dtype=np.int32), WIDTH // 2)[None].repeat(HEIGHT, 0)


def known_of(superpixels: np.ndarray, xy: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return region_labels(superpixels, xy, labels, (HEIGHT, WIDTH), "propagate")


def test_two_colours_in_one_superpixel_are_told_apart(superpixels: np.ndarray) -> None:
    colours = np.zeros((HEIGHT, WIDTH, 3))
    colours[:2, :4] = 100  # a third of the left half looks different
    xy, labels = np.array([[1, 4]]), np.array([1], np.uint8)
    known = known_of(superpixels, xy, labels)
    found = sieved(known, superpixels, xy, labels, [PixelMap(colours, (HEIGHT, WIDTH))], 2.0)
    assert (found[2:, :4] == 1).all()
    assert (found[:2, :4] == UNSURE).all()
    assert (found[:, 4:] == UNSURE).all()
    assert (sieved(known, superpixels, xy, labels, [PixelMap(colours, (HEIGHT, WIDTH))], 1e6) == known).all()
    # what one map calls alike is out where another one does not
    features = np.zeros((HEIGHT, WIDTH, 1))
    features[5, :4] = 1
    found = sieved(
        known, superpixels, xy, labels, [PixelMap(one, (HEIGHT, WIDTH)) for one in (colours, features)], 2.0
    )
    assert (found[5, :4] == UNSURE).all()
    assert (found[2:5, :4] == 1).all()


def test_it_is_the_distance_over_the_spread_inside(superpixels: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    maps = [rng.normal(size=(HEIGHT, WIDTH, 3)), rng.normal(size=(HEIGHT, WIDTH, 5))]
    xy, labels = np.array([[1, 4], [6, 2], [2, 2]]), np.array([1, 0, UNSURE], np.uint8)
    known = known_of(superpixels, xy, labels)
    found = sieved(known, superpixels, xy, labels, [PixelMap(one, (HEIGHT, WIDTH)) for one in maps], 1.5)
    expected = known.copy()
    for (x, y), label in zip(xy[:2], labels[:2], strict=True):
        for v, u in np.ndindex(HEIGHT, WIDTH):
            if superpixels[v, u] != superpixels[y, x]:
                continue
            for values in maps:
                inside = values[superpixels == superpixels[y, x]]
                spread = ((inside - inside.mean(0)) ** 2).sum(1).mean()
                whole = ((values.reshape(-1, values.shape[2]) - values.mean((0, 1))) ** 2).sum(1).mean()
                if ((values[v, u] - values[y, x]) ** 2).sum() > 1.5 * (spread + FLOOR * whole):
                    expected[v, u] = UNSURE
        expected[y, x] = label
    expected[2, 2] = UNSURE  # the unsure click
    assert (found == expected).all()
    assert 0.2 < (found != UNSURE).mean() < 0.9
    assert (known == known_of(superpixels, xy, labels)).all(), "its argument stays as it was"


def test_across_an_edge_a_click_labels_its_finer_superpixel_alone() -> None:
    """Four superpixels, of which two vary in colour; finer ones are their halves."""
    superpixels = np.repeat(np.arange(4, dtype=np.int32), 3)[None].repeat(4, 0)
    finer = 2 * superpixels + (np.arange(4)[:, None] >= 2).astype(np.int32)
    colours = np.zeros((4, 12, 3))
    colours[2:, 3:6] = 50  # an edge inside superpixel 1
    colours[0, 9:12] = 10
    colours[:, 6:9] = 7
    xy, labels = np.array([[1, 0], [4, 3], [7, 1], [10, 3]]), np.array([0, 1, 1, UNSURE], np.uint8)
    known = region_labels(superpixels, xy, labels, (4, 12), "propagate")
    found = finer_at_edges(known, superpixels, finer, xy, labels, colours)
    expected = known.copy()
    expected[:2, 3:6] = UNSURE
    assert (found == expected).all()
    spreads = [
        ((colours[superpixels == one] - colours[superpixels == one].mean(0)) ** 2).sum(1).mean()
        for one in range(4)
    ]
    assert [spread > np.median(spreads) for spread in spreads] == [False, True, False, True]


def test_a_flat_superpixel_keeps_its_label(superpixels: np.ndarray) -> None:
    colours = np.zeros((HEIGHT, WIDTH, 3))
    colours[:, 4:] = 200
    colours[3, 1] = 0.5  # noise
    xy, labels = np.array([[0, 0]]), np.array([0], np.uint8)
    found = sieved(
        known_of(superpixels, xy, labels), superpixels, xy, labels, [PixelMap(colours, (HEIGHT, WIDTH))], 1.0
    )
    assert (found[:, :4] == 0).all()


def test_each_of_two_clicks_in_a_superpixel_keeps_what_looks_like_it(superpixels: np.ndarray) -> None:
    colours = np.zeros((HEIGHT, WIDTH, 3))
    colours[:3, :4] = 100
    xy, labels = np.array([[1, 1], [1, 4]]), np.array([1, 0], np.uint8)
    known = known_of(superpixels, xy, labels)
    found = sieved(known, superpixels, xy, labels, [PixelMap(colours, (HEIGHT, WIDTH))], 2.0)
    assert (found[:3, :4] == 1).all()
    assert (found[3:, :4] == 0).all()
    finer = (superpixels * 2 + (np.arange(HEIGHT)[:, None] >= 3)).astype(np.int32)
    assert (finer_at_edges(known, superpixels, finer, xy, labels, colours) == found).all()
    by_mask = np.full((HEIGHT, WIDTH), UNSURE, np.uint8)
    by_mask[:, :4] = 1
    kept = finer_at_edges(by_mask, superpixels, finer, xy[:1], labels[:1], colours, by_mask=True)
    assert (kept[:3, :4] == 1).all()
    assert (kept[3:, :4] == UNSURE).all()


def test_a_coarser_map_is_read_at_the_cell_of_a_pixel() -> None:
    values = np.arange(6).reshape(2, 3, 1)
    found = PixelMap(values, (4, 6)).at(np.array([0, 1, 2, 3]), np.array([0, 2, 3, 5]))
    assert found[:, 0].tolist() == [0, 1, 4, 5]
    assert PixelMap(values, (4, 6)).spread == pytest.approx(values.var())
