"""SIGKILL in training, in the query and between commit steps: started again, it buys the same points."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from campaigns import all_points, assert_finished, assert_points_are_true, on_ray, open_campaign, tiny_config

from atal_ray.config import config_file
from atal_ray.data.synthetic.dataset import write_dataset

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

RUN = "import sys; from atal_ray.cli import main; sys.argv = ['atal', 'run', *sys.argv[1:]]; main()"
DIE_AT_COMMIT = (
    "import os, signal; from atal_ray.campaign.campaign_folder import CampaignFolder; "
    "CampaignFolder.commit = lambda self, number: os.kill(os.getpid(), signal.SIGKILL); " + RUN
)


def start(program: str, config: Path, folder: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled"}
    return subprocess.Popen(
        [sys.executable, "-c", program, str(config), str(folder)], env=environment, stderr=subprocess.DEVNULL
    )


def await_moment(process: subprocess.Popen[bytes], due: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 300
    while not due():
        assert process.poll() is None, "the campaign ended before it could be killed"
        assert time.monotonic() < deadline, "the moment to kill never came"
        time.sleep(0.02)


def kill_when(process: subprocess.Popen[bytes], due: Callable[[], bool]) -> None:
    await_moment(process, due)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def test_three_kills_change_nothing(tmp_path):
    train, test = (
        write_dataset(tmp_path / "train", count=9),
        write_dataset(tmp_path / "test", count=3, seed=1),
    )
    config = tmp_path / "config.yaml"
    config.write_text(config_file.to_yaml(on_ray(tiny_config(train, (test,)))))
    assert start(RUN, config, tmp_path / "calm").wait() == 0

    folder = tmp_path / "killed"
    kill_when(start(RUN, config, folder), (folder / "round-00/train/snapshot-01").exists)
    assert not (folder / "round-00/training.json").exists()
    kill_when(
        start(RUN, config, folder),
        lambda: any((folder / "round-00/queries.parquet.parts").glob("*.picks.parquet")),
    )
    assert not (folder / "round-00/queries.parquet").exists()
    assert start(DIE_AT_COMMIT, config, folder).wait() == -signal.SIGKILL
    assert (folder / "round-00/queries.parquet").exists()
    assert not (folder / "round-00/COMMITTED").exists()
    assert start(RUN, config, folder).wait() == 0

    calm, killed = open_campaign(tmp_path / "calm"), open_campaign(folder)
    assert_finished(killed, 2)
    assert_points_are_true(killed, 2, 4)
    assert all_points(killed, 2) == all_points(calm, 2)


def test_sigterm_leaves_a_folder_that_goes_on(tmp_path):
    train, test = (
        write_dataset(tmp_path / "train", count=9),
        write_dataset(tmp_path / "test", count=3, seed=1),
    )
    config, folder = tmp_path / "config.yaml", tmp_path / "run"
    config.write_text(config_file.to_yaml(on_ray(tiny_config(train, (test,)))))
    for due in ((folder / "round-00/train/snapshot-01").exists, (folder / "round-00/metrics.json").exists):
        process = start(RUN, config, folder)
        await_moment(process, due)
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 128 + signal.SIGTERM  # how quickly: benchmarks/faults.py
    assert start(RUN, config, folder).wait() == 0
    campaign = open_campaign(folder)
    assert_finished(campaign, 2)
    assert_points_are_true(campaign, 2, 4)
