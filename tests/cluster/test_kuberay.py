"""The KubeRay manifests: no field that the operator does not know, and groups that fit the campaign that is
run on them.
"""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from command_lines import parse
from jsonschema import Draft202012Validator, ValidationError

from atal_ray.config import Config
from atal_ray.runtime.capacity import Node, demands, require_capacity

FOLDER = Path(__file__).resolve().parents[2] / "cluster" / "kuberay"
TEXT, COUNT, TRUTH = {"type": "string"}, {"type": "integer", "minimum": 0}, {"type": "boolean"}
TEXTS = {"type": "object", "additionalProperties": TEXT}


def known(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    """An object that has these fields and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def several(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": item, "minItems": 1}


# The fields of ray.io/v1 that a manifest here may have: of the operator's own types all that matter, of
# Kubernetes' what is used.
CONTAINER = known(
    ("name", "image", "resources"),
    name=TEXT,
    image=TEXT,
    resources=known(("requests", "limits"), requests=TEXTS, limits=TEXTS),
    env=several(known(("name", "value"), name=TEXT, value=TEXT)),
    envFrom=several(known(("secretRef",), secretRef=known(("name",), name=TEXT, optional=TRUTH))),
    securityContext=known(allowPrivilegeEscalation=TRUTH, capabilities=known(drop=several(TEXT))),
    lifecycle=known(preStop=known(exec=known(command=several(TEXT)))),
    volumeMounts=several(known(("name", "mountPath"), name=TEXT, mountPath=TEXT)),
)
POD = known(
    ("containers",),
    containers=several(CONTAINER),
    volumes=several(
        known(("name", "emptyDir"), name=TEXT, emptyDir=known(medium={"const": "Memory"}, sizeLimit=TEXT))
    ),
    terminationGracePeriodSeconds=COUNT,
    securityContext=known(
        runAsNonRoot=TRUTH, runAsUser=COUNT, fsGroup=COUNT, seccompProfile=known(type=TEXT)
    ),
    tolerations=several(
        known(
            key=TEXT,
            operator={"enum": ["Exists", "Equal"]},
            value=TEXT,
            effect={"enum": ["NoSchedule", "NoExecute"]},
        )
    ),
)
GROUP = {"rayStartParams": TEXTS, "labels": TEXTS, "template": known(("spec",), spec=POD)}
WORKERS = known(
    ("groupName", "minReplicas", "maxReplicas", "rayStartParams", "template"),
    groupName=TEXT,
    replicas=COUNT,
    minReplicas=COUNT,
    maxReplicas=COUNT,
    idleTimeoutSeconds=COUNT,
    **GROUP,
)
CLUSTER = known(
    ("headGroupSpec", "rayVersion"),
    rayVersion=TEXT,
    authOptions=known(mode={"enum": ["token", "disabled"]}, secretName=TEXT),
    enableInTreeAutoscaling=TRUTH,
    autoscalerOptions=known(
        idleTimeoutSeconds=COUNT, upscalingMode={"enum": ["Default", "Aggressive", "Conservative"]}
    ),
    headGroupSpec=known(("rayStartParams", "template"), **GROUP),
    workerGroupSpecs=several(WORKERS),
)
JOB = known(
    ("entrypoint", "rayClusterSpec"),
    entrypoint=TEXT,
    runtimeEnvYAML=TEXT,
    submissionMode={"enum": ["K8sJobMode", "HTTPMode", "SidecarMode"]},
    backoffLimit=COUNT,
    activeDeadlineSeconds=COUNT,
    shutdownAfterJobFinishes=TRUTH,
    ttlSecondsAfterFinished=COUNT,
    suspend=TRUTH,
    rayClusterSpec=CLUSTER,
)


def manifest(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    head = {
        "apiVersion": {"const": "ray.io/v1"},
        "kind": {"const": kind},
        "metadata": known(("name",), name=TEXT, namespace=TEXT),
    }
    return known((*head, "spec"), **head, spec=spec)


SCHEMAS = {"raycluster.yaml": manifest("RayCluster", CLUSTER), "rayjob.yaml": manifest("RayJob", JOB)}


def load(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text())
    return found


def cluster(name: str) -> dict[str, Any]:
    spec: dict[str, Any] = load(name)["spec"]
    return spec.get("rayClusterSpec", spec)


def groups(name: str) -> dict[str, dict[str, Any]]:
    return {group["groupName"]: group for group in cluster(name)["workerGroupSpecs"]}


def pods(name: str) -> list[dict[str, Any]]:
    return [group["template"]["spec"] for group in (cluster(name)["headGroupSpec"], *groups(name).values())]


def gib(quantity: str) -> int:
    assert quantity.endswith("Gi")
    return int(quantity.removesuffix("Gi"))


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_field_is_known(name):
    Draft202012Validator(SCHEMAS[name]).validate(load(name))


@pytest.mark.parametrize(
    ("where", "slip"),
    [
        (("spec",), {"shutdownAfterJobFinish": True}),
        (("spec",), {"backoffLimit": "4"}),
        (("spec", "rayClusterSpec"), {"enableInTreeAutoscaler": True}),
        (("spec", "rayClusterSpec", "headGroupSpec"), {"rayStartParams": {"num-cpus": 0}}),
        (("spec", "rayClusterSpec", "workerGroupSpecs", 0), {"minReplica": 1}),
        (("spec", "rayClusterSpec", "workerGroupSpecs", 1, "template", "spec"), {"toleration": []}),
    ],
)
def test_a_slip_is_refused(where, slip):
    spoilt = copy.deepcopy(load("rayjob.yaml"))
    place: Any = spoilt
    for step in where:
        place = place[step]
    place.update(slip)
    with pytest.raises(ValidationError):
        Draft202012Validator(SCHEMAS["rayjob.yaml"]).validate(spoilt)


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_operator_names_the_ray_that_is_pinned(name):
    pinned = [
        line
        for line in (FOLDER.parents[1] / "constraints.txt").read_text().splitlines()
        if line.startswith("ray==")
    ]
    assert pinned == [f"ray=={cluster(name)['rayVersion']}"]
    assert cluster(name)["authOptions"] == {"mode": "token"}


@pytest.mark.parametrize("name", SCHEMAS)
def test_pods_get_what_they_ask_for_and_shared_memory_for_the_object_store(name):
    for pod in pods(name):
        (container,) = pod["containers"]
        resources = container["resources"]
        assert resources["requests"] == resources["limits"]
        (mount,) = [mount["name"] for mount in container["volumeMounts"] if mount["mountPath"] == "/dev/shm"]
        (limit,) = [volume["emptyDir"]["sizeLimit"] for volume in pod["volumes"] if volume["name"] == mount]
        assert (
            0.3 * gib(resources["limits"]["memory"]) <= gib(limit) < 0.5 * gib(resources["limits"]["memory"])
        )  # Ray's share is 30 %
        assert pod["securityContext"]["runAsNonRoot"]
        assert not container["securityContext"]["allowPrivilegeEscalation"]
        assert container["lifecycle"]["preStop"]["exec"]["command"][-1] == "ray stop"


@pytest.mark.parametrize("name", SCHEMAS)
def test_groups_are_what_their_labels_say(name):
    assert cluster(name)["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert {group: spec["labels"] for group, spec in groups(name).items()} == {
        "cpu": {"role": "cpu"},
        "gpu": {"role": "accelerator"},
    }
    for label, spec in groups(name).items():
        (container,) = spec["template"]["spec"]["containers"]
        assert container["image"].endswith(f"atal-ray:{label}")
        assert ("nvidia.com/gpu" in container["resources"]["limits"]) == (label == "gpu")
        tolerated = {toleration["key"] for toleration in spec["template"]["spec"].get("tolerations", [])}
        assert ("nvidia.com/gpu" in tolerated) == (label == "gpu")


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_spot_machine_is_left_in_time(name):
    pod = groups(name)["gpu"]["template"]["spec"]
    (drain,) = [int(entry["value"]) for entry in pod["containers"][0]["env"]]
    assert drain < pod["terminationGracePeriodSeconds"] <= 25


def test_a_cluster_that_stays_grows_from_nothing():
    assert cluster("raycluster.yaml")["enableInTreeAutoscaling"]
    assert all(
        group["minReplicas"] == 0 < group["maxReplicas"] for group in groups("raycluster.yaml").values()
    )


def test_the_job_is_a_command_that_fits_its_cluster():
    spec = load("rayjob.yaml")["spec"]
    config = parse(spec["entrypoint"])
    assert isinstance(config, Config)
    assert config.data.train.startswith("s3://")
    machines = []
    for label, group in groups("rayjob.yaml").items():
        assert group["replicas"] == group["minReplicas"] == group["maxReplicas"]
        limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
        resources = {"CPU": float(limits["cpu"]), "GPU": float(limits.get("nvidia.com/gpu", 0))}
        machines += [Node(resources, {"role": "accelerator" if label == "gpu" else "cpu"})] * group[
            "replicas"
        ]
    require_capacity(config, machines)
    assert [
        demand.there
        for demand in demands(config, machines)
        if demand.what == "GPUs" and demand.there == demand.wanted
    ]
    gpu = groups("rayjob.yaml")["gpu"]["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert max(config.train.threads, config.query.threads) <= int(gpu["cpu"])
    assert spec["shutdownAfterJobFinishes"]
    assert spec["backoffLimit"] > 0


def test_the_job_places_its_stages_by_the_labels_of_its_groups():
    words = load("rayjob.yaml")["spec"]["entrypoint"].split()
    pairs = [
        (words[at], words[at + 1], words[at + 2]) for at, word in enumerate(words) if word.endswith("-nodes")
    ]
    assert pairs == [
        ("--resources.scoring-nodes", "role", "accelerator"),
        ("--resources.loading-nodes", "role", "cpu"),
    ]
