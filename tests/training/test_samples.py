import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from atal_ray import seeding
from atal_ray.config import Config, RegionConfig, TrainConfig
from atal_ray.data.images import read_image, read_mask, read_soft_mask, resize
from atal_ray.data.record import records
from atal_ray.labels.geometry import Geometry
from atal_ray.labels.points import POINT_SCHEMA, UNSURE, PointIndex
from atal_ray.labels.superpixel_cache import SuperpixelCache
from atal_ray.store.folder import Folder
from atal_ray.training.dense import dense_sample
from atal_ray.training.samples import Draw, Samples, batches

MakeSamples = Callable[..., Samples]


@pytest.fixture
def config() -> Config:
    return Config(train=TrainConfig(size=64, scales=(64, 96), epochs=4, cycles=2, batch_size=6))


@pytest.fixture
def whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """No crop and no flip."""
    monkeypatch.setattr(
        Geometry, "random", lambda height, width, size, rng: Geometry.whole(height, width, size)
    )


def test_an_image_is_what_its_key_says_in_any_order(make_samples: MakeSamples, config: Config) -> None:
    draws = [Draw(index, epoch, 64) for epoch in range(2) for index in range(8)]
    first = make_samples(config)
    forwards = {draw: first[draw] for draw in draws}
    second = make_samples(config)
    for draw in reversed(draws):
        image, target = second[draw]
        assert torch.equal(image, forwards[draw][0])
        assert torch.equal(target, forwards[draw][1])
        assert (image.shape, image.dtype) == ((3, 64, 64), torch.uint8)
        assert (target.shape, target.dtype) == ((64, 64), torch.uint8)


def test_seed_round_and_epoch_each_change_the_augmentation(make_samples: MakeSamples, config: Config) -> None:
    other_seed = make_samples(dataclasses.replace(config, seed=1))
    other_round, base = make_samples(config, round_number=1), make_samples(config)
    for index in range(3):
        image = base[Draw(index, 0, 64)][0]
        for other in (
            other_seed[Draw(index, 0, 64)],
            other_round[Draw(index, 0, 64)],
            base[Draw(index, 1, 64)],
        ):
            assert not torch.equal(image, other[0])


def test_size_changes_the_scale_and_not_the_crop(
    make_samples: MakeSamples, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    crops, draw_crop = [], Geometry.random
    monkeypatch.setattr(
        Geometry, "random", lambda *arguments: crops.append(draw_crop(*arguments)) or crops[-1]
    )
    samples = make_samples(config)
    assert samples[Draw(2, 1, 64)][0].shape == (3, 64, 64)
    assert samples[Draw(2, 1, 128)][0].shape == (3, 128, 128)
    assert dataclasses.replace(crops[0], size=128) == crops[1]


@pytest.mark.usefixtures("whole")
def test_image_and_points_come_from_their_files(
    make_samples: MakeSamples, manifest: pa.Table, synth_folder: Path, config: Config
) -> None:
    alone = make_samples(dataclasses.replace(config, regions=RegionConfig(labels="none")))
    spread = make_samples(config)
    for index, record in enumerate(manifest.to_pylist()):
        image, target = alone[Draw(index, 0, 96)]
        assert np.array_equal(image.permute(1, 2, 0), resize(read_image(synth_folder / record["image"]), 96))
        xy, labels = alone.points.of(record["image_id"])
        expected = torch.full((96, 96), UNSURE, dtype=torch.uint8)
        for (x, y), label in zip(xy.tolist(), labels.tolist(), strict=True):
            expected[
                (2 * y + 1) * 96 // (2 * record["height"]), (2 * x + 1) * 96 // (2 * record["width"])
            ] = label
        assert torch.equal(target, expected)
        regions = spread[Draw(index, 0, 96)][1]
        assert (regions != UNSURE).sum() > 20 * (target != UNSURE).sum()
        assert torch.equal(regions[target != UNSURE], target[target != UNSURE])


@pytest.mark.usefixtures("whole")
def test_dense_targets_are_the_masks_and_need_no_superpixels(
    manifest: pa.Table, synth_folder: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        SuperpixelCache, "get", lambda *_: pytest.fail("superpixels were made for full masks")
    )
    dense = dataclasses.replace(config, regions=RegionConfig(labels="dense"))
    samples = Samples(
        manifest,
        PointIndex(POINT_SCHEMA.empty_table()),
        SuperpixelCache(Folder("unused"), dense.regions),
        synth_folder,
        dense,
        0,
    )
    for index, record in enumerate(manifest.to_pylist()):
        rows, columns = Geometry.whole(record["height"], record["width"], 64).source()
        assert np.array_equal(
            samples[Draw(index, 0, 64)][1], read_mask(synth_folder / record["mask"])[np.ix_(rows, columns)]
        )


@pytest.mark.parametrize(
    "recipe", [{"loss": "bce+iou"}, {"loss": "bce+cel", "augment": "rotate"}, {"augment": "rotate"}]
)
def test_full_supervision_draws_soft_masks_by_the_same_keys(
    manifest: pa.Table, synth_folder: Path, config: Config, recipe: dict[str, Any]
) -> None:
    full = dataclasses.replace(
        config, regions=RegionConfig(labels="dense"), train=dataclasses.replace(config.train, **recipe)
    )
    samples = Samples(
        manifest,
        PointIndex(POINT_SCHEMA.empty_table()),
        SuperpixelCache(Folder("unused"), full.regions),
        synth_folder,
        full,
        2,
    )
    for index, record in enumerate(manifest.to_pylist()):
        image, target = samples[Draw(index, 1, 64)]
        random = seeding.rng(full.seed, "augment", 2, 1, record["image_id"])
        pixels, mask = (
            read_image(synth_folder / record["image"]),
            read_soft_mask(synth_folder / record["mask"]),
        )
        expected = dense_sample(pixels, mask, full.train.augment, 64, random)
        assert np.array_equal(image.permute(1, 2, 0), expected[0])
        assert np.array_equal(target, expected[1])
        assert (image.dtype, target.dtype) == (torch.uint8, torch.float32)


def test_the_crop_of_full_supervision_is_that_of_points(make_samples: MakeSamples, config: Config) -> None:
    full = dataclasses.replace(
        config, regions=RegionConfig(labels="dense"), train=dataclasses.replace(config.train, loss="bce+wiou")
    )
    for index in range(8):
        assert torch.equal(
            make_samples(full)[Draw(index, 3, 96)][0], make_samples(config)[Draw(index, 3, 96)][0]
        )


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize(("images", "left"), [(3, 3), (6, 6), (8, 6), (23, 18), (24, 24)])
def test_drop_last_leaves_out_a_short_batch_but_never_the_only_one(
    config: Config, images: int, left: int, world: int
) -> None:
    full = dataclasses.replace(config, train=dataclasses.replace(config.train, drop_last=True))
    for rank in range(world):
        kept, all_of_them = (list(batches(images, c, 0, 0, rank, world)) for c in (full, config))
        assert kept == all_of_them[: len(kept)]
        assert len(kept) == -(-left // 6)
        assert images < 6 or {len(batch) for batch in kept} == {6 // world}


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("images", [1, 3, 6, 7, 8, 23, 24, 25])
def test_batches_partition_each_epoch(config: Config, images: int, world: int) -> None:
    for epoch in range(3):
        ranks = [list(batches(images, config, 0, epoch, rank, world)) for rank in range(world)]
        assert len({len(mine) for mine in ranks}) == 1
        drawn = [draw.index for mine in ranks for batch in mine for draw in batch]
        tail = images % 6 if images % 6 != 1 or images == 1 else 0  # one image joins the batch before it
        repeated = world - tail if 0 < tail < world else 0  # no worker may sit out a batch
        assert len(drawn) == images + repeated
        assert set(drawn) == set(range(images))
        for parts in zip(*ranks, strict=True):
            lengths = [len(part) for part in parts]
            assert min(lengths) >= 1
            assert max(lengths) - min(lengths) <= 1
            assert len({draw.size for part in parts for draw in part}) == 1
            assert {draw.epoch for part in parts for draw in part} == {epoch}


@pytest.mark.parametrize(("images", "lengths"), [(13, [6, 7]), (7, [7]), (12, [6, 6]), (14, [6, 6, 2])])
def test_no_batch_is_of_a_single_image_among_others(config: Config, images: int, lengths: list[int]) -> None:
    assert [len(batch) for batch in batches(images, config, 0, 0)] == lengths


def test_a_network_with_a_batch_norm_of_one_value_trains_on_one_image_more_than_a_batch(
    config: Config,
) -> None:
    norm = torch.nn.BatchNorm1d(2).train()  # behind a mean over the image there is one value for each image
    for batch in batches(7, config, 0, 0):
        assert torch.isfinite(norm(torch.rand(len(batch), 2))).all()


def test_together_the_workers_see_the_batches_of_one(config: Config) -> None:
    alone = list(batches(23, config, 1, 2))
    ranks = [list(batches(23, config, 1, 2, rank, 3)) for rank in range(3)]
    for number, batch in enumerate(alone):
        assert {draw for rank in ranks for draw in rank[number]} == set(batch)


def test_order_and_sides_are_seeded_and_differ_between_epochs_and_rounds(config: Config) -> None:
    assert list(batches(40, config, 0, 0)) == list(batches(40, config, 0, 0))
    orders = {
        tuple(draw.index for batch in batches(40, c, r, e) for draw in batch)
        for c in (config, dataclasses.replace(config, seed=1))
        for r in range(2)
        for e in range(2)
    }
    assert len(orders) == 8
    sides = [batch[0].size for epoch in range(20) for batch in batches(40, config, 0, epoch)]
    assert set(sides) == {64, 96}
    assert 0.3 < sides.count(64) / len(sides) < 0.7


def test_records_are_rows_of_the_manifest(
    make_samples: MakeSamples, manifest: pa.Table, synth_folder: Path, config: Config
) -> None:
    samples = make_samples(config)
    assert len(samples) == 8
    assert [samples.record(index) for index in range(8)] == records(manifest, synth_folder)
