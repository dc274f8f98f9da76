"""Small campaigns for tests: seconds of work, the real stages."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from atal_ray.campaign.campaign_folder import COMMITTED, METRICS, POINTS, QUERIES, CampaignFolder
from atal_ray.config import (
    BudgetConfig,
    Config,
    DataConfig,
    NetworkConfig,
    QueryConfig,
    ResourceConfig,
    TrainConfig,
    config_file,
)
from atal_ray.data.images import read_mask
from atal_ray.data.record import records
from atal_ray.labels.points import check_points
from atal_ray.store.folder import Folder
from atal_ray.store.location import AnyLocation


def tiny_config(train: Path, tests: tuple[Path, ...] = (), **changes: Any) -> Config:
    """Two rounds of 2 + 2 points at 64 px with a toy network, two snapshots of one epoch each; inline."""
    config = Config(
        data=DataConfig(train=str(train), tests=tuple(map(str, tests))),
        network=NetworkConfig(name="toy_network:TwoHeads"),
        train=TrainConfig(size=64, scales=(64,), epochs=2, cycles=2, batch_size=4),
        query=QueryConfig(shard_size=3, batch_size=2),
        budget=BudgetConfig(total=4),
        resources=ResourceConfig(backend="inline", object_store_mib=200),
    )
    return dataclasses.replace(config, **changes)


def on_ray(config: Config, **changes: Any) -> Config:
    """The configuration on Ray, with changes of its resources."""
    return dataclasses.replace(
        config, resources=dataclasses.replace(config.resources, backend="ray", **changes)
    )


def open_campaign(folder: Path) -> CampaignFolder:
    return CampaignFolder(Folder(str(folder)))


@contextmanager
def torn(folder: Path) -> Iterator[Path]:
    """One training image of a finished campaign is cut short while the block runs."""
    image = next((folder.parent / "train" / "images").iterdir())
    whole = image.read_bytes()
    image.write_bytes(whole[: len(whole) // 2])
    try:
        yield image
    finally:
        image.write_bytes(whole)


def all_points(campaign: CampaignFolder, rounds: int) -> list[list[dict[str, Any]]]:
    """The rows of each round's points.parquet, in the order of the file."""
    return [campaign.round(number).read_table(POINTS).to_pylist() for number in range(rounds)]


def assert_points_are_true(
    campaign: CampaignFolder, rounds: int, per_image: int, images: AnyLocation | None = None
) -> None:
    """Every point lies in its image with the mask's label, no pixel twice, and every image has its budget; a
    generation's folder does not say where its images are.
    """
    folder = images or campaign.training_data(config_file.of_campaign(campaign.root))
    rows = [row for chunk in campaign.chunks() for row in records(chunk, folder)]
    points = campaign.points(rounds - 1)
    check_points(
        points, {row.image_id: row.height for row in rows}, {row.image_id: row.width for row in rows}
    )
    counts = (
        pa.Table.from_pylist(points.to_pylist()).group_by("image_id").aggregate([("x", "count")]).to_pylist()
    )
    assert {row["image_id"]: row["x_count"] for row in counts} == {row.image_id: per_image for row in rows}
    masks = {row.image_id: read_mask(str(row.mask)) for row in rows}
    for point in points.to_pylist():
        assert point["label"] == masks[point["image_id"]][point["y"], point["x"]], point


def assert_finished(campaign: CampaignFolder, rounds: int) -> None:
    """Every round is committed with its files, and the report is there."""
    for number in range(rounds):
        assert campaign.is_committed(number)
        names = campaign.round(number).names()
        wanted = {POINTS, METRICS, COMMITTED, "snapshots"} | ({QUERIES} if number + 1 < rounds else set())
        assert wanted <= set(names)
        assert not any(name.endswith(".parts") or name == "train" for name in names)
    assert campaign.root.exists("report.html")
