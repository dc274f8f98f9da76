"""Superpixels by a plug-in."""

import numpy as np
import pytest

from atal_ray.commands.plans import parsed
from atal_ray.config import Config, RegionConfig
from atal_ray.errors import ConfigError, DataError
from atal_ray.labels.superpixel_method import SuperpixelMethod, cut
from atal_ray.labels.superpixels import superpixels

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)


class Halves(SuperpixelMethod):
    """Whatever it is told to give."""

    answer: object = None

    def __call__(self, image: np.ndarray) -> np.ndarray:
        return np.asarray(self.answer)


def test_seeds_is_the_default() -> None:
    np.testing.assert_array_equal(cut(IMAGE, RegionConfig()), superpixels(IMAGE, RegionConfig()))


def test_squares_are_as_many_as_are_asked_for() -> None:
    ids = cut(IMAGE, RegionConfig(method="squares", superpixels=24))
    assert np.unique(ids).tolist() == list(range(24))
    assert np.ptp(np.unique(ids, return_counts=True)[1]) == 0
    assert cut(IMAGE[:1, :1], RegionConfig(method="squares")).tolist() == [[0]]


def test_a_users_own_method_has_its_settings_beside_it() -> None:
    options = [
        "--regions.method",
        "own_plugins:Slic",
        "--regions.superpixels",
        "24",
        "--regions.slic.compactness",
    ]
    loose, square = (
        cut(IMAGE, parsed(Config(), [*options, value], "test").regions) for value in ("1", "200")
    )
    assert loose.dtype == np.int32
    assert 10 <= len(np.unique(square)) <= 40
    assert not np.array_equal(loose, square)


@pytest.mark.parametrize("answer", [np.zeros((40, 60)), np.zeros((60, 40), int), np.full((40, 60), -1)])
def test_what_is_no_map_of_ids_is_refused(answer: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Halves, "answer", answer)
    monkeypatch.setattr("own_plugins.Halves", Halves, raising=False)
    with pytest.raises(
        DataError, match=r"regions\.method own_plugins:Halves gives .*it must give whole numbers"
    ):
        cut(IMAGE, RegionConfig(method="own_plugins:Halves"))


def test_an_unknown_method_is_named() -> None:
    with pytest.raises(ConfigError, match=r"regions\.method is 'seed', did you mean seeds"):
        cut(IMAGE, RegionConfig(method="seed"))
