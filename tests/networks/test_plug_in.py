"""A network from outside the package goes through a whole campaign: training, attack, scoring, RDS,
evaluation.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from campaigns import assert_finished, assert_points_are_true, open_campaign
from toy_network import Toy

from atal_ray.data.synthetic.dataset import write_dataset
from atal_ray.networks import load_snapshot

HERE = Path(__file__).parents[1]  # which holds the network


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_users_own_network_runs_a_campaign(tmp_path):
    train, test = (
        write_dataset(tmp_path / "train", count=6),
        write_dataset(tmp_path / "test", count=3, seed=1),
    )
    command = [
        str(Path(sys.executable).with_name("atal")),
        "run",
        "demo",
        str(tmp_path / "run"),
        "--network.name",
        "toy_network:Toy",
    ]
    command += ["--data.train", str(train), "--data.tests", str(test), "--resources.object-store-mib", "200"]
    command += [
        "--train.size",
        "70",
        "--train.scales",
        "70",
        "84",
        "--train.epochs",
        "3",
        "--train.threads",
        "1",
        "--query.threads",
        "1",
    ]
    result = subprocess.run(
        command, cwd=HERE, env={**os.environ, "RAY_AUTH_MODE": "disabled"}, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    campaign = open_campaign(tmp_path / "run")
    assert_finished(campaign, 2)
    assert_points_are_true(campaign, 2, 4)
    torch.manual_seed(0)
    trained = Toy()
    fresh = trained.head.weight.clone()
    load_snapshot(trained, campaign.snapshots(1).read_bytes("3.pt"))
    assert not torch.equal(trained.head.weight, fresh)
