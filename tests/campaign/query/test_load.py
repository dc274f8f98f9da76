"""The loading half of the query: what the actor gets of a shard, and what that weighs."""

import numpy as np
import pyarrow as pa
import pytest
from campaigns import open_campaign, tiny_config

from atal_ray.acquisition.grid import original_pixels
from atal_ray.campaign.campaign_folder import MANIFEST, START, CampaignFolder
from atal_ray.campaign.query import load as query_load
from atal_ray.campaign.query.load import load_shard, loaded_bytes
from atal_ray.config import Config
from atal_ray.data.images import read_image, resize
from atal_ray.data.manifest import build_manifest
from atal_ray.labels.points import POINT_SCHEMA
from atal_ray.labels.regions import covered

SHARD = {"shard": 0, "start": 0, "stop": 3}
POINT = {
    "x": 7,
    "y": 9,
    "label": 1,
    "round": 0,
    "order": 0,
    "score": 0.0,
    "superpixel": 3,
    "region": "random",
    "source": "seed",
}


@pytest.fixture
def campaign(synth_folder, tmp_path) -> CampaignFolder:
    """Three images, and a point in the second one."""
    campaign = open_campaign(tmp_path)
    table = build_manifest(synth_folder, limit=3).table
    campaign.root.write_table(MANIFEST, table)
    point = {"image_id": table["image_id"][1].as_py(), **POINT}
    campaign.round(0).write_table("points.parquet", pa.Table.from_pylist([point], POINT_SCHEMA))
    return campaign


@pytest.fixture
def config(synth_folder) -> Config:
    return tiny_config(synth_folder)


def test_a_shard_holds_images_superpixels_and_points(campaign, config):
    row = load_shard(SHARD, campaign, config, 0)
    (manifest,) = campaign.images(config)
    assert row["image_id"] == [record.image_id for record in manifest]
    assert row["errors"] == []
    assert (row["point_image"].tolist(), row["point_xy"].tolist(), row["point_label"].tolist()) == (
        [1],
        [[7, 9]],
        [1],
    )
    for index, record in enumerate(manifest):
        assert np.array_equal(row["images"][index], resize(read_image(record.image), 64))
        superpixels, grid = (
            campaign.superpixels(config).get(record),
            original_pixels(64, record.height, record.width),
        )
        kept, pixels = np.ix_(grid.cell_rows, grid.cell_columns), np.ix_(grid.rows, grid.columns)
        assert np.array_equal(row["superpixels"][index][kept], superpixels[pixels])
        clicked = np.array([[7, 9]] if index == 1 else np.empty((0, 2)), np.int32)
        assert np.array_equal(
            row["free"][index][kept], ~covered(superpixels, clicked, (record.height, record.width))[pixels]
        )


def test_an_image_that_cannot_be_read_leaves_no_gap(campaign, config):
    table = campaign.root.read_table(MANIFEST)
    whole = load_shard(SHARD, campaign, config, 0)
    paths = table["image"].to_pylist()
    campaign.root.write_table(
        MANIFEST, table.set_column(1, table.schema.field(1), pa.array(["gone.jpg", *paths[1:]]))
    )
    row = load_shard(SHARD, campaign, config, 0)
    assert [image_id for image_id, _ in row["errors"]] == whole["image_id"][:1]
    assert row["image_id"] == whole["image_id"][1:]
    assert row["point_image"].tolist() == [0]
    for name in ("images", "free", "superpixels", "height", "width"):
        assert np.array_equal(row[name], whole[name][1:])


def test_a_loaded_shard_weighs_what_its_limit_assumes(campaign, config):
    row = load_shard(SHARD, campaign, config, START)
    assert row["superpixels"].dtype == np.int16
    assert sum(row[name].nbytes for name in ("images", "free", "superpixels")) == loaded_bytes(config)


def test_superpixel_ids_that_need_more_bits_keep_them():
    small, large = np.array([-1, 32767], np.int32), np.array([-1, 32768], np.int32)
    assert query_load._narrow(small).tolist() == [-1, 32767]
    assert query_load._narrow(large).dtype == np.int32
    assert query_load._narrow(large).tolist() == [-1, 32768]
