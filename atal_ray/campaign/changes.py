"""What may change in a campaign that has begun, looked at before anything is written."""

import logging
from dataclasses import replace
from functools import partial
from itertools import count, takewhile
from typing import Any

from pyarrow import fs

from atal_ray.campaign.campaign_folder import ERRORS, MANIFEST, POINTS, QUERIES, CampaignFolder
from atal_ray.config import Config, config_file
from atal_ray.config.config_file import CONFIG
from atal_ray.data.images import file_bytes
from atal_ray.data.presence import added_images, require_files
from atal_ray.data.record import MANIFEST_SCHEMA, digest
from atal_ray.errors import CampaignError, ConfigError, DataError, command, counted
from atal_ray.store.location import Location
from atal_ray.store.streamed import row_groups

logger = logging.getLogger(__name__)

SOURCES = "sources.json"
"""Digests of the files that a campaign takes besides images: weights, a subset, a table of points."""


def asked_before(campaign: CampaignFolder, config: Config) -> Config:
    """The configuration of a folder, to be changed: with what every round has asked so far written out."""
    if not (config.asks and campaign.root.exists(MANIFEST)):
        return config
    return replace(config, budget=replace(config.budget, earlier=_asked(campaign)))


def carried_on(campaign: CampaignFolder, config: Config) -> Config:
    """The configuration with the points that the rounds of the folder have asked for already.

    A round whose query has begun keeps what it asks; `budget.per_round` is of the rounds after it.

    Raises:
        ConfigError: `budget.total` is below the points that were asked, or not reached from there.
    """
    if not (campaign.root.exists(MANIFEST) and campaign.root.exists(CONFIG)):
        return config
    if not config.asks:
        return config
    try:
        return replace(config, budget=config.budget.after(_asked(campaign)))
    except ConfigError as error:
        way_on = command("resume", campaign.root.uri)
        raise ConfigError(f"{error}. Without another budget it goes on with {way_on}") from error


def _asked(campaign: CampaignFolder) -> tuple[int, ...]:
    """What rounds 1, 2, ... have asked."""
    before = config_file.kept(campaign.root, CONFIG, Config).budget
    return tuple(before.asked_for(n) for n in takewhile(lambda n: _is_asked(campaign, n), count(1)))


def _is_asked(campaign: CampaignFolder, number: int) -> bool:
    """Whether the query for the points of a round has begun."""
    before = campaign.round(number - 1)
    return before.exists(QUERIES) or before.exists(f"{QUERIES}.parts")


def admit(campaign: CampaignFolder, before: Config, now: Config) -> None:
    """Refuse what cannot change in a campaign that has begun, and data that is not there any more.

    Args:
        campaign: the folder.
        before: the configuration that it last went on with.
        now: one that differs from it in nothing but what may change.

    Raises:
        CampaignError: points or weights are others than those that were taken.
        DataError: images or masks are missing, or are others.
    """
    _require_sources(campaign, before, now)
    moved = campaign.training_data(before).uri != campaign.training_data(now).uri
    require_images(campaign, campaign.training_data(now), moved=moved, option="--data.train")
    if now.data.train and now.data.subset is None and now.data.limit is None:
        _name_added(campaign, now)
    tests, known = campaign.test_folders(before), campaign.test_sets()
    for name, folder in campaign.test_folders(now).items():
        if name in known:
            chunks = partial(row_groups, campaign.root / "tests", f"{name}.parquet")
            moved = name not in tests or tests[name].uri != folder.uri
            require_files(
                chunks,
                (campaign.root / "tests").count_rows(f"{name}.parquet"),
                folder,
                moved=moved,
                way_on=_way_on(campaign, "--data.tests", moved),
            )
        elif folder.kind() != fs.FileType.Directory:
            raise DataError(f"{folder} is not there: give the folder of the test set with --data.tests")


def require_images(campaign: CampaignFolder, folder: Location, *, moved: bool, option: str) -> None:
    """Refuse a folder that does not hold the images and masks of a campaign's manifest.

    Args:
        campaign: the folder.
        folder: where they should be.
        moved: whether it is another than before.
        option: the one that says where they are.

    Raises:
        DataError: they are not, or not all, there; the first ones are named.
    """
    with campaign.root.parquet(MANIFEST) as file:
        names, images = file.schema_arrow.names, file.metadata.num_rows
    if names != MANIFEST_SCHEMA.names:
        raise CampaignError(
            f"{campaign.root.where(MANIFEST)} was written by an earlier version, without the sizes of the "
            f"files: start anew; a new campaign trains on these points with --data.points {campaign.root.uri}"
        )
    require_files(campaign.chunks, images, folder, moved=moved, way_on=_way_on(campaign, option, moved))


def _way_on(campaign: CampaignFolder, option: str, moved: bool) -> str:
    """What to do where the files are not in a folder; `moved` is whether it was named just now."""
    name = campaign.root.uri
    mend = "name the folder that holds them" if moved else "put the files back, or say where they are now"
    return (
        f"{mend}: {command('resume', name, option, 'NEW_PLACE')}. To go on with other files, start another "
        f"campaign, which keeps the points: {command('fork', name, 'NEW')}"
    )


def _name_added(campaign: CampaignFolder, config: Config) -> None:
    left_out: set[str] = set()
    if campaign.root.exists(ERRORS):
        left_out = set(campaign.root.read_table(ERRORS)["image_id"].to_pylist())
    added = added_images(campaign.chunks, campaign.training_data(config), left_out)
    if added:
        logger.warning(
            "%s: %s added after the campaign began (%s): it goes on without. %s starts another campaign with "
            "all images and the points that are there",
            config.data.train,
            counted(len(added), "image was", "images were"),
            ", ".join(added[:3]) + (", ..." if len(added) > 3 else ""),
            command("fork", campaign.root.uri, "NEW"),
        )


def note_sources(campaign: CampaignFolder, config: Config) -> None:
    """Write the digests of the files that are taken besides images, once."""
    if not campaign.root.exists(SOURCES):
        campaign.root.write_json(SOURCES, sources(config))


def sources(config: Config) -> dict[str, str]:
    """Digest of each of these files, by the name of its field; a folder has none."""
    files = {
        name: where
        for name, where in _named(config).items()
        if where not in (None, "", "random") and Location.at(where).kind() == fs.FileType.File
    }
    return {name: digest(file_bytes(where)).hex() for name, where in files.items()}


def _named(config: Config) -> dict[str, Any]:
    """What the fields that name such a file hold."""
    return {
        "network.weights": config.network.weights,
        "data.subset": config.data.subset,
        "data.points": config.data.points,
    }


def _require_sources(campaign: CampaignFolder, before: Config, now: Config) -> None:
    """Refuse other weights, and another table than the one that was taken."""
    noted = campaign.root.read_json(SOURCES) if campaign.root.exists(SOURCES) else {}
    found, olds = sources(now), _named(before)
    fork = command("fork", campaign.root.uri, "NEW")
    for name, new in _named(now).items():
        old, same = olds[name], name in noted and noted[name] == found.get(name)
        if old != new and not same:
            raise CampaignError(
                f"{campaign.root.uri} was started with another configuration; undo:\n  {name}: {old!r} -> "
                f"{new!r}, which is not the same file. Or start another campaign with its points: {fork}"
            )
        if name not in noted or same:
            continue
        if name == "network.weights":
            raise CampaignError(
                f"{new} is not the file that the campaign began with, and every round begins with these "
                f"weights: put the old file back, or start another campaign: {fork}"
            )
        if name in found and not (name == "data.points" and not campaign.round(0).exists(POINTS)):
            logger.warning("%s was changed after it was taken; the campaign goes on with what it took", new)
