import dataclasses
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from atal_ray import networks
from atal_ray.config import Config, NetworkConfig, RegionConfig, TrainConfig
from atal_ray.data.images import read_image, resize
from atal_ray.errors import DivergedError
from atal_ray.training import loop
from atal_ray.training.loop import TrainState, WorkerContext, train_round
from atal_ray.training.samples import Samples
from atal_ray.training.schedule import learning_rate

MakeSamples = Callable[..., Samples]
IMAGES = 6
CONFIG = Config(
    network=NetworkConfig(name="toy_network:TwoHeads"),
    train=TrainConfig(size=64, scales=(64, 96), epochs=4, cycles=2, batch_size=4, lr_max=0.02),
)


def first_network() -> networks.SaliencyNetwork:
    torch.manual_seed(0)
    return networks.build(CONFIG.network)


def saved(state: TrainState) -> TrainState:
    """The state as it comes back from a file."""
    file = io.BytesIO()
    torch.save(vars(state), file)
    file.seek(0)
    return TrainState(**torch.load(file, weights_only=True))


def run(
    samples: Samples, config: Config = CONFIG, **options: Any
) -> tuple[dict[int, TrainState], list[dict[str, float]]]:
    states: dict[int, TrainState] = {}
    entries: list[dict[str, float]] = []
    options.setdefault("on_snapshot", lambda number, state: states.update({number: saved(state)}))
    train_round(
        first_network(), samples, config, on_epoch=lambda entry: entries.append(dict(entry)), **options
    )
    return states, entries


@pytest.fixture
def samples(make_samples: MakeSamples) -> Samples:
    return make_samples(CONFIG, images=IMAGES)


def test_a_round_leaves_snapshots_and_a_log_and_goes_on_bit_for_bit(samples: Samples) -> None:
    states, entries = run(samples)
    assert list(states) == [1, 2]
    assert [states[number].epochs_done for number in (1, 2)] == [2, 4]
    assert entries == states[2].log
    assert entries[:2] == states[1].log
    assert [entry["epoch"] for entry in entries] == [0, 1, 2, 3]
    assert ["delta" in entry for entry in entries] == [False, False, False, True]
    assert all(set(entry) - {"delta"} == {"epoch", "loss", "lr_first", "lr_last"} for entry in entries)
    assert entries[3]["loss"] < entries[0]["loss"]

    again, later = run(samples, resume=states[1])
    assert list(again) == [2]
    assert later == entries[2:]
    assert again[2].log == states[2].log
    assert again[2].network.keys() == states[2].network.keys()
    assert all(torch.equal(again[2].network[key], states[2].network[key]) for key in states[2].network)
    assert torch.equal(again[2].probe, states[2].probe)
    assert any(not torch.equal(states[1].network[key], states[2].network[key]) for key in states[1].network)


def test_an_epoch_waits_for_the_device_once(samples: Samples, monkeypatch: pytest.MonkeyPatch) -> None:
    """For its losses; the first and the last networks' maps and the states of snapshots come on top."""
    lists: list[int] = []
    as_list = torch.Tensor.tolist
    monkeypatch.setattr(
        torch.Tensor, "tolist", lambda tensor: (lists.append(tensor.numel()), as_list(tensor))[1]
    )
    reads: list[int] = []

    class Reads(TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            reads.extend([1] * (function is torch.ops.aten._local_scalar_dense.default))
            return function(*args, **(kwargs or {}))

    step_of = loop.train_epoch

    def watched(*arguments: Any) -> dict[str, float]:
        with Reads():
            return step_of(*arguments)

    monkeypatch.setattr(loop, "train_epoch", watched)
    run(samples)
    assert not reads
    assert lists == [2] * CONFIG.train.epochs


def test_each_cycle_may_train_a_network_of_its_own(samples: Samples) -> None:
    torch.manual_seed(5)
    fresh = networks.build(CONFIG.network).state_dict()
    renewed: list[int] = []

    def renew(cycle: int) -> networks.SaliencyNetwork:
        renewed.append(cycle)
        network = networks.build(CONFIG.network)
        network.load_state_dict(fresh)
        return network

    states, entries = run(samples, renew=renew)
    assert renewed == [1]
    trajectory, _ = run(samples)
    assert all(torch.equal(states[1].network[key], trajectory[1].network[key]) for key in fresh)
    # the second network is one that knows nothing of the first: neither its weights nor its momentum
    start = dataclasses.replace(trajectory[1], network=fresh, optimizer=run_of_nothing(trajectory[1]))
    alone, _ = run(samples, resume=start)
    assert all(torch.equal(states[2].network[key], alone[2].network[key]) for key in fresh)
    assert len(entries) == 4
    again, _ = run(samples, resume=states[1], renew=renew)
    assert all(torch.equal(states[2].network[key], again[2].network[key]) for key in fresh)


def run_of_nothing(state: TrainState) -> dict[str, Any]:
    """The state of an optimiser that has made no step."""
    return {
        "param_groups": state.optimizer["param_groups"],
        "state": {
            key: {name: torch.zeros_like(value) for name, value in one.items()}
            for key, one in state.optimizer["state"].items()
        },
    }


def test_rates_follow_eq_8_and_delta_eq_7(samples: Samples, manifest: pa.Table, synth_folder: Path) -> None:
    train = dataclasses.replace(CONFIG.train, epochs=3, cycles=3)
    states, entries = run(samples, dataclasses.replace(CONFIG, train=train))
    rates = [learning_rate("cyclic", i, 2, 3, 3, 0.02, 0.0) for i in range(1, 7)]  # 6 images make 2 batches
    found = [(entry["lr_first"], entry["lr_last"]) for entry in entries]
    assert found == [tuple(rates[2 * epoch : 2 * epoch + 2]) for epoch in range(3)]
    maps = []
    for number in (1, 2, 3):
        network = networks.build(CONFIG.network)
        network.load_state_dict(states[number].network)
        network.eval()
        images = [
            torch.from_numpy(resize(read_image(synth_folder / path), 64)).permute(2, 0, 1) / 255
            for path in manifest["image"].to_pylist()[:IMAGES]
        ]
        with torch.no_grad():
            maps.append(torch.cat([network.saliency(image[None])[0] for image in images]))
    assert "delta" not in entries[0]
    for entry, before, after in zip(entries[1:], maps[:-1], maps[1:], strict=True):
        pixels = zip(before.flatten().tolist(), after.flatten().tolist(), strict=True)
        change = [abs(a - b) for a, b in pixels]
        assert entry["delta"] == pytest.approx(sum(change) / len(change), rel=1e-3)
        assert entry["delta"] > 0


def test_the_round_and_the_seed_change_the_training(make_samples: MakeSamples) -> None:
    short = dataclasses.replace(CONFIG, train=dataclasses.replace(CONFIG.train, epochs=1, cycles=1))
    losses = [
        run(make_samples(config, round_number, IMAGES), config)[1][0]["loss"]
        for config, round_number in (
            (short, 0),
            (short, 0),
            (short, 1),
            (dataclasses.replace(short, seed=1), 0),
        )
    ]
    assert losses[0] == losses[1]
    assert len(set(losses)) == 3


@pytest.mark.parametrize("labels", ["dense", "none", "oracle_mask"])
def test_every_label_mode_trains(make_samples: MakeSamples, labels: Any) -> None:
    config = dataclasses.replace(
        CONFIG, regions=RegionConfig(labels=labels), train=dataclasses.replace(CONFIG.train, scales=(64,))
    )
    states, entries = run(make_samples(config, images=IMAGES), config)
    assert list(states) == [1, 2]
    assert entries[3]["loss"] < entries[0]["loss"]


@pytest.mark.parametrize(
    "recipe",
    [
        {"loss": "bce+wiou", "schedule": "triangular", "lr_max": 0.05},
        {
            "loss": "bce+cel",
            "augment": "rotate",
            "schedule": "poly",
            "nesterov": False,
            "decay_on": "no-bias-no-bn",
        },
        {"loss": "bce+iou", "schedule": "triangular", "lr_max": 0.05},
    ],
)
def test_each_recipe_of_full_supervision_trains(make_samples: MakeSamples, recipe: dict[str, Any]) -> None:
    train = dataclasses.replace(CONFIG.train, scales=(64,), cycles=1, drop_last=True, half=False, **recipe)
    config = dataclasses.replace(CONFIG, regions=RegionConfig(labels="dense"), train=train)
    states, entries = run(make_samples(config, images=IMAGES), config)
    assert list(states) == [1]
    assert entries[3]["loss"] < entries[0]["loss"]
    # Each epoch has one batch of 4 images and leaves out 2.
    rates = [learning_rate(train.schedule, epoch + 1, 1, 4, 1, train.lr_max, 0.0) for epoch in range(4)]
    assert [(entry["lr_first"], entry["lr_last"]) for entry in entries] == [(rate, rate) for rate in rates]


def test_triangular_schedule_rises_and_falls_once(samples: Samples) -> None:
    config = dataclasses.replace(
        CONFIG, train=dataclasses.replace(CONFIG.train, schedule="triangular", epochs=3, cycles=1)
    )
    states, entries = run(samples, config)
    assert list(states) == [1]
    assert (
        [entry["lr_first"] for entry in entries]
        == [entry["lr_last"] for entry in entries]
        == pytest.approx([0.01, 0.02, 0.01])
    )


def test_a_worker_trains_its_share_through_the_wrapper(samples: Samples) -> None:
    batches: list[int] = []

    class Counted(nn.Module):
        def __init__(self, network: nn.Module) -> None:
            super().__init__()
            self.network = network

        def forward(self, x: torch.Tensor) -> Any:
            batches.append(len(x))
            return self.network(x)

    config = dataclasses.replace(CONFIG, train=dataclasses.replace(CONFIG.train, epochs=1, cycles=1))
    states, _ = run(samples, config, context=WorkerContext(rank=1, world=2), wrap=Counted)
    assert batches == [2, 1]  # of 4 and 2 images
    assert not any(key.startswith("network.") for key in states[1].network)


@pytest.mark.parametrize(
    ("batch_size", "what"),
    [(4, r"the loss of step \d of 2 is"), (6, "the saliency maps of the snapshot are")],
)
def test_a_training_that_diverges_ends_at_once(samples: Samples, batch_size: int, what: str) -> None:
    train = dataclasses.replace(CONFIG.train, lr_max=1e30, batch_size=batch_size, epochs=2)
    kept: list[int] = []
    sentence = rf"^the training diverged: in epoch 1 of 2 {what} not a finite number; start another campaign"
    with pytest.raises(DivergedError, match=sentence):
        run(
            samples,
            dataclasses.replace(CONFIG, train=train),
            on_snapshot=lambda number, state: kept.append(number),
        )
    assert kept == []
