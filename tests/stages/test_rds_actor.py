"""One budget for all images: what the actor asks for, on a real campaign."""

import collections
import dataclasses

import numpy as np
import pyarrow as pa
import pytest
from campaigns import assert_finished, open_campaign

from atal_ray import campaign as campaigns
from atal_ray.campaign_folder import QUERIES
from atal_ray.points import QUERY_SCHEMA
from atal_ray.stages.query import query
from atal_ray.stages.query_covers import FEATURES, matrix, vectors
from atal_ray.stages.rds_actor import read_union
from atal_ray.stages.throughput import THROUGHPUT


def by_need(config, **changes):
    changed = dataclasses.replace(config.query, scope="dataset", **{"floor": 1, "ceiling": 4, **changes})
    return dataclasses.replace(config, query=changed)


def ask(finished, tmp_path, **changes):
    config, folder = finished
    campaign, out = open_campaign(folder), open_campaign(tmp_path).root
    query(campaign, by_need(config, **changes), 0, out)
    return out.read_table(QUERIES), out


def test_budget_is_met_within_floor_and_ceiling(finished, tmp_path):
    asked, out = ask(finished, tmp_path)
    assert asked.schema.equals(QUERY_SCHEMA)
    assert asked.num_rows == 2 * 7
    counts = collections.Counter(asked["image_id"].to_pylist())
    assert len(counts) == 7
    assert set(counts.values()) <= {1, 2, 3, 4}
    assert len(set(counts.values())) > 1, "need differs between these images"
    ids = asked["image_id"].to_pylist()
    assert ids == sorted(ids)
    assert asked["order"].to_pylist() == [order for image in sorted(counts) for order in range(counts[image])]
    assert out.names() == [QUERIES, THROUGHPUT]


def test_floor_and_ceiling_of_k_ask_what_each_image_alone_would(finished, tmp_path):
    _, folder = finished
    asked, _ = ask(finished, tmp_path, floor=2, ceiling=2)
    assert asked.equals(open_campaign(folder).round(0).read_table(QUERIES))


@pytest.mark.parametrize("changes", [{"similarity": "nearest"}, {"cover": "maxsum"}, {"cover_space": "both", "floor": 0}])
def test_every_option_meets_the_budget(finished, tmp_path, changes):
    asked, _ = ask(finished, tmp_path, **changes)
    assert asked.num_rows == 14


def test_points_depend_neither_on_actors_nor_on_what_searches(finished, tmp_path):
    config, folder = finished
    expected, _ = ask(finished, tmp_path / "one")
    for name, changes in {"two": {"query_actors": 2}, "numpy": {"index": "numpy"}}.items():
        out = open_campaign(tmp_path / name).root
        spread = dataclasses.replace(config, resources=dataclasses.replace(config.resources, **changes))
        query(open_campaign(folder), by_need(spread), 0, out)
        assert out.read_table(QUERIES).equals(expected)


def test_what_the_ceiling_forbids_is_an_error_row(finished, tmp_path):
    config, folder = finished
    out = open_campaign(tmp_path).root
    image = next((folder.parent / "train" / "images").iterdir())
    whole = image.read_bytes()
    image.write_bytes(whole[: len(whole) // 2])
    try:
        query(open_campaign(folder), by_need(config, ceiling=2), 0, out)
    finally:
        image.write_bytes(whole)
    torn, short = out.read_table("errors.parquet").to_pylist()
    assert torn["image_id"] == image.stem
    assert "only 12 of 14 points asked" in short["reason"]
    assert out.count_rows(QUERIES) == 12


def test_points_of_an_unreadable_image_go_to_the_others(finished, tmp_path):
    config, folder = finished
    out = open_campaign(tmp_path).root
    image = next((folder.parent / "train" / "images").iterdir())
    whole = image.read_bytes()
    image.write_bytes(whole[: len(whole) // 2])
    try:
        query(open_campaign(folder), by_need(config), 0, out)
    finally:
        image.write_bytes(whole)
    assert out.count_rows(QUERIES) == 14
    assert image.stem not in out.read_table(QUERIES)["image_id"].to_pylist()


def test_union_holds_every_shard_in_order(tmp_path):
    parts = open_campaign(tmp_path).root
    rng = np.random.default_rng(0)
    tables = []
    for shard, images in enumerate((["a", "a", "b"], [], ["c", "d", "d", "d"])):
        rows = [dict.fromkeys(QUERY_SCHEMA.names, 1) | {"image_id": image, "region": "SR", "score": 0.5} for image in images]
        features = [rng.normal(size=(len(images), 3)).astype(np.float32)]
        table = pa.Table.from_pylist(rows, QUERY_SCHEMA).append_column(FEATURES, vectors(features, 3))
        parts.write_table(f"{shard:06d}.covers.parquet", table)
        parts.write_table(f"{shard:06d}.labelled.parquet", pa.table({FEATURES: vectors([np.full((shard, 3), shard, np.float32)], 3)}))
        tables.append((table, features[0]))
    union = read_union(parts, 3)
    assert union.questions["image_id"].to_pylist() == list("aabcddd")
    assert union.covers.image.tolist() == [0, 0, 1, 2, 3, 3, 3]
    assert (union.covers.features == np.concatenate([features for _, features in tables])).all()
    assert union.labelled.tolist() == [[1.0] * 3, [2.0] * 3, [2.0] * 3]
    assert union.ends.tolist() == [3, 3, 7]
    assert (matrix(tables[2][0][FEATURES]) == tables[2][1]).all()


@pytest.mark.slow
def test_campaign_with_one_budget_runs_to_its_end(finished, tmp_path):
    config, folder = finished
    changed = dataclasses.replace(by_need(config), data=dataclasses.replace(config.data, train=str(folder.parent / "train")))
    campaign = campaigns.run(changed, tmp_path / "run")
    assert_finished(campaign, 2)
    assert campaign.points(1).num_rows == 4 * 7
    assert "images over the points that each has" in campaign.root.read_bytes("report.html").decode()
