"""Three real raylets: actors and a whole node die under a campaign, which then has the points of a run on one
machine.
"""

import dataclasses

import pytest
from campaigns import all_points, assert_points_are_true, on_ray, open_campaign, tiny_config
from fault_injection import Campaign, Kill, inject
from three_nodes import three_nodes

from atal_ray.campaign.run import run_campaign
from atal_ray.config import AttackConfig, QueryConfig, config_file
from atal_ray.data.synthetic.dataset import write_dataset

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_a_data_actor_and_a_node_die(tmp_path):
    train, test = (
        write_dataset(tmp_path / "train", count=12),
        write_dataset(tmp_path / "test", count=24, seed=1),
    )
    query = QueryConfig(shard_size=2, batch_size=2)
    config = on_ray(tiny_config(train, (test,), attack=AttackConfig(steps=30), query=query))
    placed = dataclasses.replace(
        config.resources, scoring_nodes={"role": "accelerator"}, loading_nodes={"role": "cpu"}, wait_minutes=2
    )
    (tmp_path / "config.yaml").write_text(config_file.to_yaml(dataclasses.replace(config, resources=placed)))
    with three_nodes() as nodes:
        campaign = Campaign(
            tmp_path / "config.yaml", str(tmp_path / "killed"), nodes.cluster.address, tmp_path / "log.txt"
        )
        try:
            for kill in (Kill("data actor", "evaluation"), Kill("node", "query")):
                inject(campaign, nodes, kill)
            campaign.finish()
            assert campaign.starts == 1  # nobody had to give the command again
        finally:
            campaign.stop()
    calm = run_campaign(config, tmp_path / "calm")
    assert_points_are_true(open_campaign(tmp_path / "killed"), 2, 4)
    assert all_points(open_campaign(tmp_path / "killed"), 2) == all_points(calm, 2)
