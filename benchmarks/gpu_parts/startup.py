"""The start-up of a training worker by part, each in a fresh process."""

import json
import subprocess
import sys

from gpu_parts.setup import Note, Setup

SCRIPT = """
import json, sys, time
start = last = time.perf_counter()
marks = {}
def mark(name):
    global last
    now = time.perf_counter()
    marks[name] = now - last
    last = now
import numpy, cv2, pyarrow, PIL.Image
mark("import numpy, cv2, pyarrow, PIL")
import torch
mark("import torch")
from atal_ray.campaign.train import train_worker
from atal_ray import networks
from atal_ray.config import NetworkConfig, TrainConfig
from atal_ray.training.fast_step import build_step
from atal_ray.training.step import build_optimizer
mark("import atal_ray's training")
name, weights, stride_on, side, batch = json.loads(sys.argv[1])
network = networks.build(NetworkConfig(name=name, weights=weights, stride_on=stride_on))
mark("build the network, read its weights")
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
def wait():
    if device.type == "cuda":
        torch.cuda.synchronize()
torch.zeros(1, device=device); wait()
mark("first contact with the device")
network = network.to(device).train()
if device.type == "cuda":
    network.to(memory_format=torch.channels_last)
optimizer = build_optimizer(network, TrainConfig())
wait()
mark("network to the device")
step = build_step(network, network, optimizer, TrainConfig())
images = torch.randint(0, 256, (batch, 3, side, side), dtype=torch.uint8, device=device)
targets = (images[:, 0] > 128).to(torch.uint8)
for number in ("first", "second", "third", "fourth"):
    step(images, targets); wait()
    mark(f"{number} step")
print(json.dumps(marks))
"""


def startup(setup: Setup, note: Note) -> None:
    """Seconds of each part, twice: the second time the files are in memory."""
    weights = str(setup.weights.resolve()) if setup.weights and not setup.small else None
    if not setup.small and not weights:
        weights = "random"
    work = json.dumps([setup.networks[0], weights, setup.stride_on, setup.side, setup.batch])
    for turn in ("first", "second")[: 1 if setup.small else 2]:
        done = subprocess.run([sys.executable, "-c", SCRIPT, work], capture_output=True, text=True)
        if done.returncode:
            note(f"{turn} time", {"error": done.stderr[-500:]})
            return
        parts = json.loads(done.stdout.splitlines()[-1])
        note(f"{turn} time", {"in_all_s": sum(parts.values()), **parts})
