"""The same campaign on Ray and inline: the same points, bit for bit, and inline without Ray."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from campaigns import all_points, assert_finished, on_ray, open_campaign, tiny_config

from atal_ray.campaign.campaign_folder import METRICS, POINTS, QUERIES, START
from atal_ray.campaign.run import run_campaign
from atal_ray.config import Config, QueryConfig, ResourceConfig, TrainConfig
from atal_ray.errors import CampaignError, ConfigError

WITHOUT_RAY = """
import sys
from pathlib import Path
from campaigns import tiny_config
from plain_reports import plain_reports
from atal_ray.campaign.run import run_campaign
if slow := {"ray", "torch", "pandas", "matplotlib"} & set(sys.modules):
    sys.exit(f"a command is slow to start: it imports {slow}")
train, folder = map(Path, sys.argv[1:])
with plain_reports():
    run_campaign(tiny_config(train, (train,)), folder)
loaded = [name for name in sys.modules if name.partition(".")[0] == "ray"]
sys.exit(f"Ray was imported: {loaded[:3]}" if loaded else 0)
"""


@pytest.mark.slow
@pytest.mark.parametrize("scope", ["dataset", "image"])
def test_points_and_metrics_are_those_of_ray(ray_local, synth_folder, tmp_path, scope):
    query = QueryConfig(shard_size=3, batch_size=2, scope=scope)
    config = tiny_config(synth_folder, (synth_folder,), query=query)
    found = {}
    for backend in ("ray", "inline"):
        resources = replace(config.resources, backend=backend)
        campaign = run_campaign(replace(config, resources=resources), tmp_path / backend)
        assert_finished(campaign, 2)
        found[backend] = (
            all_points(campaign, 2),
            campaign.round(0).read_table(QUERIES).to_pylist(),
            [campaign.round(number).read_json(METRICS) for number in range(2)],
        )
    assert found["ray"] == found["inline"]


@pytest.mark.slow
def test_a_round_on_ray_is_that_of_inline(ray_local, finished, tmp_path):
    """Every stage once, by the workers of Ray: start, training, evaluation, query and gallery."""
    config, folder = finished
    inline, copy = open_campaign(folder), tmp_path / "run"
    asked = inline.round(START).read_table(QUERIES)
    answers = inline.round(0).read_table(POINTS).select(["image_id", "x", "y", "label"])
    people = replace(on_ray(config), budget=replace(config.budget, annotator="answers"))
    with pytest.raises(CampaignError, match="waiting for answers"):
        run_campaign(people, copy)
    campaign = open_campaign(copy)
    assert campaign.round(START).read_table(QUERIES).equals(asked)
    campaign.round(0).write_table("answers.parquet", answers)
    with pytest.raises(CampaignError, match="waiting for answers"):
        run_campaign(people, copy)
    assert campaign.round(0).read_table(QUERIES).equals(inline.round(0).read_table(QUERIES))
    assert campaign.round(0).read_json(METRICS) == inline.round(0).read_json(METRICS)


@pytest.mark.slow
def test_a_campaign_goes_on_under_the_other_backend(ray_local, finished):
    config, folder = finished
    before = all_points(open_campaign(folder), 2)
    for backend in ("ray", "inline"):
        run_campaign(replace(config, resources=ResourceConfig(backend=backend, object_store_mib=200)), folder)
    assert all_points(open_campaign(folder), 2) == before


@pytest.mark.slow
def test_an_inline_campaign_imports_no_ray(synth_folder, tmp_path):
    command = [sys.executable, "-c", WITHOUT_RAY, str(synth_folder), str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=_environment())
    assert done.returncode == 0, done.stderr[-2000:]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}


def test_inline_trains_in_one_process():
    with pytest.raises(ConfigError, match=r"train\.workers 1"):
        Config(train=TrainConfig(workers=2), resources=ResourceConfig(backend="inline"))
