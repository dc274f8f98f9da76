"""The files for `ray up`, through what `ray up` itself does with a file before it talks to any machine."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import ValidationError
from ray.autoscaler._private.util import prepare_config, validate_config

ROOT = Path(__file__).resolve().parents[2]
CLOUDS = ["cluster/aws.yaml", "cluster/gcp.yaml"]
FILES = ["ray_cluster.yaml", *CLOUDS]
ROLES = {"cpu", "accelerator"}


def written(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / name).read_text())
    return found


def prepared(config: dict[str, Any]) -> dict[str, Any]:
    full: dict[str, Any] = prepare_config(config)
    validate_config(full)
    return full


@pytest.mark.parametrize("name", FILES)
def test_ray_up_accepts_it(name):
    assert prepared(written(name))["cluster_name"].startswith("atal")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("change", [{"max_worker": 2}, {"setup_commands": "pip install ."}, {"provider": {}}])
def test_a_slip_is_refused(name, change):
    with pytest.raises((ValidationError, KeyError, TypeError)):
        prepared({**written(name), **change})


@pytest.mark.parametrize("name", CLOUDS)
def test_a_slip_in_a_node_type_is_refused(name):
    config = written(name)
    config["available_node_types"]["gpu"]["label"] = {"role": "accelerator"}
    with pytest.raises(ValidationError, match="label"):
        prepared(config)


@pytest.mark.parametrize("name", FILES)
def test_nodes_start_with_a_token_and_a_closed_dashboard(name):
    config = prepared(written(name))
    head, worker = config["head_start_ray_commands"], config["worker_start_ray_commands"]
    assert head[0] == worker[0] == "ray stop"
    for command in (head[-1], worker[-1]):
        assert "RAY_AUTH_MODE=token" in command
        assert "\n" not in command
    for option in (
        "--head",
        "--port=6379",
        "--autoscaling-config=~/ray_bootstrap_config.yaml",
        "--dashboard-host=127.0.0.1",
    ):
        assert option in head[-1].split()
    assert "--address=$RAY_HEAD_IP:6379" in worker[-1].split()
    assert config["file_mounts"]["~/.ray"] == "~/.ray"


@pytest.mark.parametrize("name", FILES)
def test_every_machine_installs_this_project_once_as_pinned(name):
    config = prepared(written(name))
    workers = [
        kind
        for kind in config["available_node_types"].values()
        if "CPU" not in kind["resources"] or kind["resources"]["CPU"] > 0
    ]
    assert workers
    for commands in [
        config["head_setup_commands"],
        *(kind.get("worker_setup_commands", config["worker_setup_commands"]) for kind in workers),
    ]:
        (install,) = [
            command for command in commands if "pip install" in command
        ]  # one: no other Ray, which is what defaults would bring
        assert re.search(
            r'pip install -q -c ~/atal_ray/constraints\.txt -e "\$HOME/atal_ray\[(cpu|gpu),jobs\]"', install
        ), install
    assert config["file_mounts"]["~/atal_ray"] == "."
    assert config["rsync_filter"] == [".gitignore"]


@pytest.mark.parametrize("name", CLOUDS)
def test_clouds_have_an_idle_head_and_workers_from_zero(name):
    config = prepared(written(name))
    types = dict(config["available_node_types"])
    head = types.pop(config["head_node_type"])
    assert head["resources"]["CPU"] == 0
    assert {kind["labels"]["role"] for kind in types.values()} == ROLES
    assert all(kind["min_workers"] == 0 < kind["max_workers"] for kind in types.values())
    assert sum(kind["max_workers"] for kind in types.values()) == config["max_workers"]
    assert {name: kind["resources"].get("GPU", 0) for name, kind in types.items()} == {"cpu": 0, "gpu": 1}
    assert (
        "RAY_enable_autoscaler_v2=1" in config["head_start_ray_commands"][-1]
    )  # the first does not know labels
    assert re.search(r"spot", str(types["gpu"]["node_config"]), re.IGNORECASE)
    assert not re.search(r"spot", str(types["cpu"]["node_config"]), re.IGNORECASE)


def test_machines_on_premise_are_all_kept_and_label_themselves():
    config = prepared(written("ray_cluster.yaml"))
    (kind,) = config["available_node_types"].values()
    assert kind["min_workers"] == kind["max_workers"] == len(config["provider"]["worker_ips"])
    for command in (config["head_start_ray_commands"][-1], config["worker_start_ray_commands"][-1]):
        (label,) = re.findall(r'--labels="role=\$\((.*)\)"', command)
        assert set(re.findall(r"echo (\w+)", label)) == ROLES
