import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from atal_ray.campaign.campaign_folder import (
    ERRORS,
    MANIFEST,
    METRICS,
    POINTS,
    QUERIES,
    START,
    TRAINING,
    CampaignFolder,
)
from atal_ray.config import (
    AttackConfig,
    BudgetConfig,
    Config,
    NetworkConfig,
    QueryConfig,
    RegionConfig,
    TrainConfig,
)
from atal_ray.config.query import RegionLabels
from atal_ray.data.manifest import build_manifest
from atal_ray.data.synthetic.dataset import write_dataset
from atal_ray.labels.points import POINT_SCHEMA, QUERY_SCHEMA
from atal_ray.metrics.accumulator import Accumulator
from atal_ray.report import curves, picture_size
from atal_ray.report.gallery_file import GALLERY, ImageMaps, gallery_table
from atal_ray.report.predictions_file import PREDICTION_SCHEMA, PREDICTIONS, small_png
from atal_ray.seeding import derive
from atal_ray.store.folder import Folder
from atal_ray.training.schedule import learning_rate, snapshot_epochs

ERROR_SCHEMA = pa.schema([(name, pa.string()) for name in ("stage", "image_id", "reason")])
REGIONS = ("PSR", "SR", "PSR", "PIR")

CONFIG = Config(
    network=NetworkConfig(name="f3net-small"),
    train=TrainConfig(size=64, scales=(64,), epochs=4, cycles=2, batch_size=2),
    attack=AttackConfig(steps=1),
    query=QueryConfig(top_percent=10),
    regions=RegionConfig(superpixels=40),
    budget=BudgetConfig(start=2, per_round=1, total=3),
)

Make = Callable[..., tuple[CampaignFolder, Config]]


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four small drawn images, to be copied."""
    return write_dataset(tmp_path_factory.mktemp("report") / "scenes", count=4, size=(40, 64))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small pictures and no charts, for tests of what is on the page rather than of how it is drawn."""
    monkeypatch.setattr(picture_size, "_LONGEST", 60)
    monkeypatch.setattr(curves, "chart", lambda draw, **size: "data:,")


@pytest.fixture
def make(tmp_path: Path, scenes: Path) -> Make:
    """Write a campaign of four images as its stages would have left it."""

    def write(
        rounds: int = 2,
        tests: tuple[str, ...] = ("easy",),
        labels: RegionLabels = "propagate",
        rename: str = "",
        config: Config = CONFIG,
    ) -> tuple[CampaignFolder, Config]:
        images = Path(shutil.copytree(scenes, tmp_path / "images"))
        config = replace(
            config,
            data=replace(
                config.data, train=str(images), tests=tuple(str(tmp_path / "sets" / name) for name in tests)
            ),
            regions=replace(config.regions, labels=labels),
        )
        if rename:
            (images / "images/scene-0002.jpg").rename(images / "images" / f"{rename}.jpg")
            (images / "masks/scene-0002.png").rename(images / "masks" / f"{rename}.png")
        campaign = CampaignFolder(Folder(str(tmp_path / "campaign")))
        table = build_manifest(images).table
        campaign.root.write_table(MANIFEST, table)
        if labels != "dense":
            campaign.round(START).write_table(QUERIES, questions(table, 0))
        for name in tests:
            shutil.copytree(images, tmp_path / "sets" / name)
            (campaign.root / "tests").write_table(f"{name}.parquet", table)
        for number in range(rounds):
            write_round(campaign, config, number, tests)
            campaign.round(number).write_table(GALLERY, gallery(table, number))
            campaign.round(number).write_table(PREDICTIONS, predictions(table, number, tests))
        return campaign, config

    return write


def write_round(campaign: CampaignFolder, config: Config, number: int, tests: tuple[str, ...]) -> None:
    folder, table = campaign.round(number), campaign.root.read_table(MANIFEST)
    if config.regions.labels != "dense":
        folder.write_table(POINTS, answers(table, number))
    else:
        folder.write_table(POINTS, POINT_SCHEMA.empty_table())  # the masks say all
    folder.write_json(TRAINING, {"epochs": log(config.train, number)})
    folder.write_json(METRICS, {name: metrics(number, seed) for seed, name in enumerate(tests)})
    if number + 1 < config.rounds:
        folder.write_table(QUERIES, questions(table, number + 1))
        rows = [{"stage": "query", "image_id": "scene-0001", "reason": "only 0 of 1 points asked"}]
        folder.write_table(ERRORS, pa.Table.from_pylist(rows, ERROR_SCHEMA))
    campaign.commit(number)


def gallery(table: pa.Table, number: int) -> pa.Table:
    """Maps of every image, other ones for each and in each round."""
    rows = []
    for row in table.to_pylist():
        random = np.random.default_rng(derive(row["image_id"], number))
        one, two, three, four, regions = random.integers(0, 256, (5, 16, 16), dtype=np.uint8)
        rows.append(ImageMaps(one, two, three, four, regions % 3).to_row(row["image_id"]))
    return gallery_table(rows)


def predictions(table: pa.Table, number: int, tests: tuple[str, ...]) -> pa.Table:
    """A flat map of every test image, brighter from round to round."""
    shade = small_png(np.full((10, 16), 60 * (number + 1), np.uint8))
    rows = [
        {"test_set": name, "image_id": row["image_id"], "prediction": shade}
        for name in tests
        for row in table.to_pylist()
    ]
    return pa.Table.from_pylist(rows, PREDICTION_SCHEMA)


def rows_of(table: pa.Table, number: int) -> list[dict[str, object]]:
    """Two points an image in round 0, one later; labels 1, 0, 0, 255 and so on."""
    return [
        {
            "image_id": row["image_id"],
            "x": 5 + 9 * order + 13 * number,
            "y": 4 + 7 * order + 9 * number,
            "round": number,
            "order": order,
            "score": 0.25 * number,
            "superpixel": 3,
            "label": (1, 0, 0, 255)[(index + order) % 4],
            "region": REGIONS[index % 4] if number else "random",
            "source": "oracle" if number else "seed",
        }
        for index, row in enumerate(table.to_pylist())
        for order in range(2 if number == 0 else 1)
    ]


def questions(table: pa.Table, number: int) -> pa.Table:
    return pa.Table.from_pylist(rows_of(table, number), QUERY_SCHEMA)


def answers(table: pa.Table, number: int) -> pa.Table:
    return pa.Table.from_pylist(rows_of(table, number), POINT_SCHEMA)


def log(plan: TrainConfig, number: int) -> list[dict[str, float]]:
    entries: list[dict[str, float]] = []
    for epoch in range(plan.epochs):
        first, last = (
            learning_rate(plan.schedule, i, 2, plan.epochs, plan.cycles, plan.lr_max, plan.lr_min)
            for i in (2 * epoch + 1, 2 * epoch + 2)
        )
        entries.append({"epoch": epoch, "loss": 1 / (epoch + number + 1), "lr_first": first, "lr_last": last})
        if epoch in snapshot_epochs(plan.epochs, plan.cycles)[1:]:
            entries[-1]["delta"] = 0.1 / (epoch + 1)
    return entries


@cache
def metrics(number: int, seed: int) -> dict[str, object]:
    """Scores of noisy masks, cleaner from round to round."""
    random = np.random.default_rng((number, seed))
    result: dict[str, object] = {"errors": [["lost", "lost.jpg cannot be decoded"]] if number == 1 else []}
    for member in ("ensemble", "last"):
        sums = Accumulator()
        for _ in range(3):
            mask = np.zeros((20, 24), bool)
            mask[5:15, 6:18] = True
            noisy = 200 * mask + random.integers(0, 160 - 60 * number, mask.shape)
            sums.add(np.minimum(noisy, 255).astype(np.uint8), mask)
        result[member] = sums.summary().to_json()
    return result
