"""How large a study is: minutes on two cores, a night or more on two cores, or the whole."""

from dataclasses import replace
from typing import Literal

from atal_ray.config import (
    BudgetConfig,
    Config,
    DataConfig,
    NetworkConfig,
    QueryConfig,
    RegionConfig,
    ResourceConfig,
    TrainConfig,
    presets,
)

Scale = Literal["tiny", "small", "paper"]


def base_of(scale: Scale) -> Config:
    """The campaign that the arms of a study differ from: ATAL."""
    if scale == "paper":
        return presets.paper()
    small = presets.cpu_small()
    if scale == "small":
        return replace(
            small,
            data=DataConfig(limit=100, test_limit=100),
            train=replace(small.train, size=96, scales=(96,), epochs=9, threads=1),
            budget=BudgetConfig(start=2, per_round=4, total=10),
            query=replace(small.query, threads=1),
            resources=replace(small.resources, backend="inline"),
        )
    return Config(
        data=DataConfig(limit=8, test_limit=6),
        network=NetworkConfig(name="f3net-small"),
        train=TrainConfig(size=64, scales=(64,), epochs=2, cycles=2, batch_size=4),
        query=QueryConfig(shard_size=4, batch_size=4),
        regions=RegionConfig(superpixels=60, levels=2, iterations=4),
        budget=BudgetConfig(start=2, per_round=2, total=4),
        resources=ResourceConfig(backend="inline", object_store_mib=256),
    )
