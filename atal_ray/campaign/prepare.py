"""The first step of a campaign: check the data and the network, and write the manifests of training and test
images.
"""

import logging
from functools import partial
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa

from atal_ray import networks
from atal_ray.campaign.campaign_folder import ERROR_SCHEMA, ERRORS, MANIFEST, CampaignFolder
from atal_ray.config import Config
from atal_ray.data.layout import BadFile
from atal_ray.data.manifest import build_manifest
from atal_ray.data.synthetic.dataset import write_dataset
from atal_ray.errors import DataError
from atal_ray.networks.conformance import check_network
from atal_ray.runtime.progress_bar import tracked
from atal_ray.store.location import Location
from atal_ray.wording import counted

logger = logging.getLogger(__name__)

DEMO_TRAIN, DEMO_TEST = 48, 24


def prepare(campaign: CampaignFolder, config: Config, skip: str = "--data.on-bad-file skip") -> None:
    """Write tests/NAME.parquet and, last, manifest.parquet; without `data.train`, embedded images are made
    first.

    Args:
        campaign: the folder.
        config: the configuration.
        skip: the option of the command that leaves bad files out, for the sentence that refuses them.

    Raises:
        DataError: see `build_manifest`; two test sets of one name; a test image without a mask.
        ConfigError, CheckpointError: the network, or the backbone's weights, cannot be used.
    """
    if campaign.root.exists(MANIFEST):
        return
    check_network(
        networks.build(config.network), config.train
    )  # what is wrong is found now, not after the data has been read
    (campaign.root / "tests").delete()  # an earlier attempt, perhaps with other test sets
    train, tests = _folders(campaign, config)
    bad: list[BadFile] = []
    checking = partial(tracked, title="checking images", unit="image")
    for name, folder in _named(tests).items():
        found = build_manifest(
            folder, limit=config.data.test_limit, on_bad_file=config.data.on_bad_file, skip=skip, track=checking
        )
        unlabelled = [row for row in found.table.to_pylist() if row["mask"] is None]
        if unlabelled:
            raise DataError(
                f"{folder}: {counted(len(unlabelled), 'test image has', 'test images have')} no mask, such as "
                f"{unlabelled[0]['image_id']}, and cannot judge: add the masks, or leave this set out of "
                "data.tests"
            )
        (campaign.root / "tests").write_table(f"{name}.parquet", found.table)
        bad.extend(found.bad)
    manifest = build_manifest(
        train,
        subset=config.data.subset,
        limit=config.data.limit,
        on_bad_file=config.data.on_bad_file,
        skip=skip,
        track=checking,
    )
    _require_masks(train, manifest.table, config)
    bad.extend(manifest.bad)
    if bad:
        rows: list[dict[str, Any]] = [
            {"stage": "prepare", "image_id": f.image_id, "reason": f"{f.file} {f.reason}"} for f in bad
        ]
        campaign.root.write_table(ERRORS, pa.Table.from_pylist(rows, ERROR_SCHEMA))
        logger.warning("left out %s, listed in %s", counted(len(bad), "bad file"), campaign.root.where(ERRORS))
    campaign.root.write_table(MANIFEST, manifest.table)


def _folders(campaign: CampaignFolder, config: Config) -> tuple[Location, list[Location]]:
    """The training folder and the test folders; the embedded data where none is named."""
    tests = [Location.at(folder) for folder in config.data.tests]
    if config.data.train:
        return Location.at(config.data.train), tests
    for name, count, seed in (("train", DEMO_TRAIN, 0), ("test", DEMO_TEST, 1)):
        made = campaign.embedded(name)
        made.delete()  # an earlier attempt that was cut short
        with TemporaryDirectory() as drawn:
            made.copy_tree(write_dataset(drawn, count=count, seed=seed))
    return campaign.training_data(config), tests or [Location(campaign.embedded("test").uri)]


def _named(folders: list[Location]) -> dict[str, Location]:
    names = {folder.resolved().name: folder for folder in folders}
    if len(names) < len(folders):
        raise DataError(
            f"data.tests names two folders of one name: {', '.join(map(str, folders))}; rename one"
        )
    return names


def _require_masks(folder: Location, table: pa.Table, config: Config) -> None:
    """Refuse what needs masks where there are none."""
    labels = config.regions.labels
    oracle = config.asks and config.budget.annotator == "oracle"
    reader = f"regions.labels {labels}" if config.regions.uses_masks else "the oracle" * oracle
    if reader and table["mask"].null_count:
        raise DataError(
            f"{folder}: {counted(table['mask'].null_count, 'image has', 'images have')} no mask, which "
            f"{reader} reads: add the masks{', or use budget.annotator answers' * (reader == 'the oracle')}"
        )
