"""What clicks say of an image as a finish wants it: sieved, agreed with the teacher, with weights."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from atal_ray.campaign.campaign_folder import POINTS, CampaignFolder
from atal_ray.campaign.finish.finish_plan import ClickTeacher, Finish
from atal_ray.campaign.finish.known import (
    RING,
    Known,
    TeacherView,
    agreed,
    class_weights,
    colours,
    confidence_of,
)
from atal_ray.config import BudgetConfig, Config, DataConfig, RegionConfig, TrainConfig
from atal_ray.data.record import Record
from atal_ray.errors import ConfigError
from atal_ray.labels.points import POINT_SCHEMA, UNSURE, PointIndex
from atal_ray.labels.regions import region_labels
from atal_ray.labels.sieve import PixelMap, finer_at_edges, sieved
from atal_ray.labels.superpixel_cache import SuperpixelCache
from atal_ray.labels.superpixel_method import cut
from atal_ray.store.folder import Folder

SHAPE = (40, 60)
RECORD = Record("a", "a.jpg", None, *SHAPE, 1, b"d" * 32, None, None)
CLICKS = [(5, 5, 0), (30, 20, 1), (50, 30, UNSURE)]


def points_of(clicks: list[tuple[int, int, int]]) -> pa.Table:
    origin = {"round": 0, "order": 0, "score": 0.0, "superpixel": -1, "source": "test"}
    rows = [{"image_id": "a", "x": x, "y": y, "label": label, **origin} for x, y, label in clicks]
    return pa.Table.from_pylist(rows, POINT_SCHEMA)


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*SHAPE, 3), np.uint8)


@pytest.fixture
def seen() -> TeacherView:
    rng = np.random.default_rng(1)
    saliency = rng.random(SHAPE, np.float32)
    return TeacherView(saliency, torch.rand(4, 10, 15, generator=torch.Generator().manual_seed(0)))


def known_of(tmp_path: Path, plan: Finish, **regions: object) -> Known:
    config = Config(regions=RegionConfig(superpixels=40, **regions))
    cache = SuperpixelCache(Folder(str(tmp_path)), config.regions)
    return Known(config, plan, PointIndex(points_of(CLICKS)), cache)


def test_without_choices_it_is_what_regions_say(tmp_path: Path, image: np.ndarray) -> None:
    known = known_of(tmp_path, Finish())
    xy, labels = known.points.of("a")
    expected = region_labels(known.superpixels.get(RECORD, image), xy, labels, SHAPE, "propagate")
    assert (known.of(RECORD, image, None) == expected).all()
    assert not known.needs_teacher()


def test_a_sieve_looks_at_colours_and_at_decoder_features(
    tmp_path: Path, image: np.ndarray, seen: TeacherView
) -> None:
    known, plain = known_of(tmp_path, Finish(sieve=1.5)), known_of(tmp_path, Finish())
    assert known.needs_teacher()
    xy, labels = known.points.of("a")
    superpixels = known.superpixels.get(RECORD, image)
    features = seen.features.permute(1, 2, 0).numpy()
    maps = [PixelMap(colours(image), SHAPE), PixelMap(features, SHAPE)]
    expected = sieved(plain.of(RECORD, image, None), superpixels, xy, labels, maps, 1.5)
    found = known.of(RECORD, image, seen)
    assert (found == expected).all()
    assert (found != UNSURE).sum() < (plain.of(RECORD, image, None) != UNSURE).sum()


def test_near_edges_a_click_labels_a_finer_superpixel(tmp_path: Path, image: np.ndarray) -> None:
    known, plain = known_of(tmp_path, Finish(finer=4)), known_of(tmp_path, Finish())
    xy, labels = known.points.of("a")
    superpixels = known.superpixels.get(RECORD, image)
    finer = cut(image, RegionConfig(superpixels=160))
    before = plain.of(RECORD, image, None)
    expected = finer_at_edges(before, superpixels, finer, xy, labels, colours(image))
    assert (known.of(RECORD, image, None) == expected).all()
    assert not known.needs_teacher()


def test_where_the_teacher_is_sure_of_the_other_label_only_the_click_keeps_it(
    tmp_path: Path, image: np.ndarray, seen: TeacherView
) -> None:
    plain = known_of(tmp_path, Finish()).of(RECORD, image, None)
    found = known_of(tmp_path, Finish(agreement=True)).of(RECORD, image, seen)
    sure_of = np.where(seen.saliency > 0.8, 1, np.where(seen.saliency < 0.2, 0, UNSURE))
    expected = np.where((sure_of != UNSURE) & (sure_of != plain), UNSURE, plain)
    for x, y, label in CLICKS:
        expected[y, x] = label
    assert (found == expected).all()
    against = np.array([[0.9]], np.float32)
    kept = agreed(np.zeros((1, 1), np.uint8), against, np.array([[0, 0]]), np.zeros(1, np.uint8))
    assert kept.tolist() == [[0]]


def test_clicks_without_regions_are_squares_that_a_smaller_image_keeps(
    tmp_path: Path, image: np.ndarray
) -> None:
    plan = Finish(train=replace(TrainConfig(cycles=1), size=64, scales=(64,)))
    known = known_of(tmp_path, plan, labels="none")
    found = known.at_clicks(RECORD, known.of(RECORD, image, None))
    assert (found[4:7, 4:7] == 0).all()
    assert (found[19:22, 29:32] == 1).all()
    assert (found != UNSURE).sum() == 18, "the unsure click says nothing"
    regions = known_of(tmp_path, plan)
    labels = regions.of(RECORD, image, None)
    assert regions.at_clicks(RECORD, labels) is labels


def test_confidence_is_the_weight_of_the_class_times_what_the_teacher_gives_the_label() -> None:
    known = np.array([[0, 1, UNSURE, 1]], np.uint8)
    saliency = np.array([[0.3, 0.6, 0.9, 0.1]], np.float32)
    labels, confidence = confidence_of(known, (1.0, 0.5), 0.0, None)
    assert (labels == known).all()
    assert confidence[0, [0, 1, 3]] == pytest.approx([1, 0.5, 0.5])
    _, confidence = confidence_of(known, (1.0, 0.5), 0.0, saliency)
    assert confidence[0, [0, 1, 3]] == pytest.approx([0.7, 0.3, 0.05])


def test_the_unknown_outer_ring_is_background_with_a_small_weight() -> None:
    known = np.full(SHAPE, UNSURE, np.uint8)
    known[0, :10] = 1
    labels, confidence = confidence_of(known, (1.0, 1.0), 0.1, None)
    reach = math.ceil(RING * 40)
    inside = np.zeros(SHAPE, bool)
    inside[reach:-reach, reach:-reach] = True
    assert (labels[inside] == UNSURE).all()
    assert (labels[0, :10] == 1).all()
    assert confidence[0, :10].tolist() == [1.0] * 10
    ring = ~inside & (known == UNSURE)
    assert (labels[ring] == 0).all()
    assert confidence[ring] == pytest.approx(0.1)
    assert (confidence_of(known, (1.0, 1.0), 0.0, None)[0] == known).all()


@pytest.fixture
def labelled(tmp_path: Path) -> tuple[CampaignFolder, Folder]:
    """Three of ten clicks are salient; of the random ones of round 0 it is one of four."""
    campaign, final = CampaignFolder(Folder(str(tmp_path / "run"))), Folder(str(tmp_path / "final"))
    start = [(x, 0, int(x == 0)) for x in range(4)]
    campaign.round(0).write_table(POINTS, points_of(start))
    later = [(x, 1, int(x < 2)) for x in range(6)]
    final.write_table(POINTS, points_of([*start, *later, (9, 9, UNSURE)]))
    return campaign, final


def test_class_weights_make_sums_equal_or_like_the_areas(labelled: tuple[CampaignFolder, Folder]) -> None:
    campaign, final = labelled
    config = Config()
    assert class_weights("none", campaign, config, final) == (1, 1)
    background, salient = class_weights("equal", campaign, config, final)
    assert (7 * background, max(background, salient)) == pytest.approx((3 * salient, 1))
    background, salient = class_weights("area", campaign, config, final)
    assert 3 * salient / (3 * salient + 7 * background) == pytest.approx(1 / 4)
    assert max(background, salient) == 1


def test_areas_are_known_of_a_random_start_alone(labelled: tuple[CampaignFolder, Folder]) -> None:
    campaign, final = labelled
    for config in (
        Config(budget=BudgetConfig(start_strategy="centre")),
        Config(data=DataConfig(points="other")),
    ):
        with pytest.raises(ConfigError, match=r"began with random points: choose clicks\.balance equal"):
            class_weights("area", campaign, config, final)
    final.write_table(POINTS, points_of([(0, 0, 0), (1, 0, 0)]))
    with pytest.raises(ConfigError, match="needs clicks on the object and beside it: 0% of them are salient"):
        class_weights("equal", campaign, Config(), final)


def test_settings_without_effect_are_refused() -> None:
    with pytest.raises(ConfigError, match="clicks describes a network that is not trained"):
        Finish(clicks=ClickTeacher(border=0.1))
