"""Named starting points for a configuration; every field can still be set on the command line."""

from collections.abc import Callable

from atal_ray.config import BudgetConfig, Config, DataConfig, NetworkConfig, QueryConfig, ResourceConfig, TrainConfig
from atal_ray.errors import ConfigError


def paper() -> Config:
    """The paper's setting: 352 px, L = 5, K = 3 %, 2 random points, 2 more a round, 20 in all."""
    return Config()


def cpu_small() -> Config:
    """A real campaign for two CPU cores: 120 images at 128 px, L = 3, 2 + 2 + 2 points."""
    return Config(
        data=DataConfig(limit=120, test_limit=60),
        train=TrainConfig(size=128, scales=(96, 128, 160), epochs=12, cycles=3, batch_size=8, lr_max=0.02, threads=2),
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


PRESETS: dict[str, Callable[[], Config]] = {"paper": paper, "cpu-small": cpu_small, "demo": demo}


def preset(name: str) -> Config:
    """The preset of that name; ConfigError lists the known ones."""
    if name not in PRESETS:
        raise ConfigError(f"{name!r} is neither a preset ({', '.join(PRESETS)}) nor a YAML file")
    return PRESETS[name]()
