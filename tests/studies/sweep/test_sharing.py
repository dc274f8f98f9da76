"""What campaigns have in common is copied whole, and only where it truly is in common."""

import dataclasses

import pytest
from campaigns import open_campaign

from atal_ray.campaign.campaign_folder import COMMITTED, MANIFEST, METRICS, POINTS, QUERIES, START, TRAINING
from atal_ray.config import AttackConfig
from atal_ray.errors import CampaignError
from atal_ray.studies.sweep.plan import with_fields
from atal_ray.studies.sweep.sharing import share_first_round, share_start, start_key, until_first_query


@pytest.mark.parametrize(
    ("field", "value", "starts_alike", "trains_alike"),
    [
        ("query.top_percent", 20.0, True, True),
        ("query.strategy", "random", True, True),
        ("query.cover_space", "features", True, True),
        ("attack.steps", 2, True, True),
        ("budget.total", 8, True, True),
        ("budget.per_round", 1, True, True),
        ("train.cycles", 1, True, False),
        ("train.lr_max", 0.01, True, False),
        ("network.name", "f3net", True, False),
        ("query.batch_size", 3, True, False),  # the last bits of the metrics
        ("train.size", 96, False, False),
        ("budget.start", 4, False, False),
        ("budget.start_strategy", "centre", False, False),
        ("query.method", "clasp", True, True),
        ("regions.superpixels", 30, False, False),
        ("seed", 1, False, False),
        ("data.limit", 3, False, False),
    ],
)
def test_what_a_field_changes(finished, field, value, starts_alike, trains_alike):
    config, _ = finished
    changed = with_fields(config, {field: value})
    assert (start_key(config) == start_key(changed)) is starts_alike
    assert (until_first_query(config) == until_first_query(changed)) is trains_alike


def test_until_the_first_query_is_one_round(finished):
    config, _ = finished
    first = until_first_query(dataclasses.replace(config, attack=AttackConfig(steps=2)))
    assert first.rounds == 1
    assert first.train == config.train
    assert until_first_query(first) == first


def test_start_and_first_round_are_copied_without_a_second_copy_on_disk(finished, tmp_path):
    config, folder = finished
    source, campaign = open_campaign(folder), open_campaign(tmp_path / "new")
    share_start(source, campaign, config)
    share_first_round(source, campaign, config)
    assert campaign.root.names() == [MANIFEST, "round-00", "seed", "tests"]
    assert campaign.round(0).names() == sorted(
        [POINTS, "cost.json", "predictions.parquet", "snapshots", TRAINING, METRICS]
    )  # not COMMITTED: its query is another
    for name in (POINTS, TRAINING, METRICS, "snapshots/2.pt"):
        assert (folder / "round-00" / name).samefile(tmp_path / "new/round-00" / name)
    assert campaign.round(START).read_bytes(QUERIES) == source.round(START).read_bytes(QUERIES)


def test_what_is_there_stays(finished, tmp_path):
    config, folder = finished
    source, campaign = open_campaign(folder), open_campaign(tmp_path / "new")
    campaign.root.write_bytes(MANIFEST, b"mine")
    campaign.round(0).write_bytes(METRICS, b"mine")
    share_start(source, campaign, config)
    share_first_round(source, campaign, config)
    assert campaign.root.names() == [MANIFEST, "round-00"]
    assert campaign.round(0).names() == [METRICS]
    assert source.round(0).exists(COMMITTED)


def test_a_lost_snapshot_is_named(finished, tmp_path):
    config, folder = finished
    copy = open_campaign(tmp_path / "copy")
    share_first_round(open_campaign(folder), copy, config)
    (tmp_path / "copy/round-00/snapshots/2.pt").unlink()
    with pytest.raises(CampaignError, match=r"snapshots/2\.pt was lost: delete .*/copy"):
        share_first_round(copy, open_campaign(tmp_path / "new"), config)
    assert open_campaign(tmp_path / "new").root.names() == []
