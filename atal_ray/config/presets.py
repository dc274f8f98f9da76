"""Named starting points for a configuration; every field can still be set on the command line.

The presets "...-full" train on full masks by each network's published recipe. Not reproduced: F3Net's and
PFSNet's half precision (apex O2; here bfloat16), MINet's way of saving maps for a test (values cut to whole
levels, nearest pixel), the seeds of MINet (0) and PFSNet (4) with their generators, and that F3Net's and
PFSNet's crop never lies at the far end of what it cuts.
"""

from collections.abc import Callable

from atal_ray.config import (
    BudgetConfig,
    Config,
    DataConfig,
    NetworkConfig,
    QueryConfig,
    RegionConfig,
    ResourceConfig,
    TrainConfig,
)
from atal_ray.errors import ConfigError, meant


def paper() -> Config:
    """The paper's setting: 352 px, L = 5, K = 3 %, 2 random points, 2 more a round, 20 in all."""
    return Config()


def cpu_small() -> Config:
    """A real campaign for two CPU cores: 120 images at 128 px, L = 3, 2 + 2 + 2 points."""
    return Config(
        data=DataConfig(limit=120, test_limit=60),
        train=TrainConfig(
            size=128, scales=(96, 128, 160), epochs=12, cycles=3, batch_size=8, lr_max=0.02, threads=2
        ),
        query=QueryConfig(shard_size=16, batch_size=8, threads=2),
        budget=BudgetConfig(total=6),
        resources=ResourceConfig(object_store_mib=512),
    )


def demo() -> Config:
    """Minutes on the embedded data: a small network, 2 rounds."""
    return Config(
        network=NetworkConfig(name="f3net-small"),
        train=TrainConfig(size=96, scales=(96, 128), epochs=30, cycles=3, batch_size=8, threads=2),
        query=QueryConfig(shard_size=16, batch_size=8, threads=2),
        budget=BudgetConfig(total=4),
        resources=ResourceConfig(object_store_mib=256),
    )


def f3net_full() -> Config:
    """F3Net on full masks by the training code of weijun88/F3Net."""
    train = TrainConfig(
        epochs=32, cycles=1, schedule="triangular", loss="bce+wiou", batch_size=32, lr_max=0.05
    )
    return Config(network=NetworkConfig(name="f3net"), train=train, regions=RegionConfig(labels="dense"))


def minet_full() -> Config:
    """MINet on full masks by the default settings of lartpang/MINet (its read-me also names 40 epochs)."""
    return Config(
        network=NetworkConfig(name="minet"),
        train=TrainConfig(
            size=320,
            scales=(320,),
            epochs=50,
            cycles=1,
            schedule="poly",
            loss="bce+cel",
            augment="rotate",
            batch_size=4,
            drop_last=True,
            lr_max=1e-3,
            backbone_ratio=1.0,
            freeze_stem=False,
            nesterov=False,
            decay_on="no-bias-no-bn",
            half=False,
        ),
        regions=RegionConfig(labels="dense"),
    )


def pfsnet_full() -> Config:
    """PFSNet on full masks by the training code of iCVTEAM/PFSNet."""
    train = TrainConfig(
        epochs=50, cycles=1, schedule="triangular", loss="bce+iou", batch_size=20, lr_max=0.05
    )
    return Config(network=NetworkConfig(name="pfsnet"), train=train, regions=RegionConfig(labels="dense"))


PRESETS: dict[str, Callable[[], Config]] = {
    "paper": paper,
    "cpu-small": cpu_small,
    "demo": demo,
    "f3net-full": f3net_full,
    "minet-full": minet_full,
    "pfsnet-full": pfsnet_full,
}


def full_recipe(network: str) -> TrainConfig:
    """The published recipe of full supervision of a network; F3Net's where there is none of its own."""
    return PRESETS.get(f"{network}-full", f3net_full)().train


def preset(name: str) -> Config:
    """The preset of that name; ConfigError lists the known ones."""
    if name not in PRESETS:
        known = ", ".join(PRESETS)
        raise ConfigError(f"{name!r} is neither a preset ({known}) nor a YAML file{meant(name, PRESETS)}")
    return PRESETS[name]()
