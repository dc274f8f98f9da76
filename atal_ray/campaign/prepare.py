"""The first step of a campaign: check the data and the network, and write the manifests of training and test
images.
"""

import hashlib
import logging
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.compute as pc

from atal_ray.acquisition.names import Names
from atal_ray.acquisition.registered import SCORES
from atal_ray.campaign.campaign_folder import ERROR_SCHEMA, ERRORS, MANIFEST, TRAINING, CampaignFolder
from atal_ray.campaign.checked_images import BAD_SCHEMA, CheckedImages, check_images, is_large
from atal_ray.campaign.errors_file import add_errors
from atal_ray.config import Config
from atal_ray.data.synthetic.dataset import write_dataset
from atal_ray.errors import DataError, counted
from atal_ray.labels.points import concat
from atal_ray.runtime.progress_bar import progress_bar
from atal_ray.runtime.session import campaign_session
from atal_ray.store.folder import Folder
from atal_ray.store.location import Location

logger = logging.getLogger(__name__)

DEMO_TRAIN, DEMO_TEST = 48, 24
WORK = "prepare.parts"
"""Folder of what shards leave until the manifests are whole."""


def prepare(
    campaign: CampaignFolder,
    config: Config,
    skip: str = "--data.on-bad-file skip",
    listed: Folder | None = None,
) -> None:
    """Write tests/NAME.parquet and, last, manifest.parquet; without `data.train`, embedded images are made
    first.

    Args:
        campaign: the folder.
        config: the configuration.
        skip: the option of the command that leaves bad files out, for the sentence that refuses them.
        listed: where the list of bad files will lie in the end, for people; unset: in the folder.

    Raises:
        DataError: see `check_images`; two test sets of one name; a test image without a mask.
        ConfigError, CheckpointError: the network, or the backbone's weights, cannot be used.
    """
    if campaign.root.exists(MANIFEST):
        add_test_sets(campaign, config, skip)
        _require_weights(campaign, config)
        return
    (campaign.root / "tests").delete()  # an earlier attempt, perhaps with other test sets
    train, tests = _folders(campaign, config)
    named = named_test_sets(tests)
    require_network(config)  # what is wrong is found now, not after the data has been read
    with _session_of(config, [train, *tests]):
        try:
            left_out = [_test_set(campaign, config, name, folder, skip) for name, folder in named.items()]
            checked = _training_set(campaign, config, train, skip)
        except DataError:
            (campaign.root / WORK).delete()  # the files will be others when they are read again
            raise
    _write_errors(campaign, concat([*left_out, checked.bad], BAD_SCHEMA), listed)
    checked.write(campaign.root, MANIFEST)
    (campaign.root / WORK).delete()


def _session_of(config: Config, folders: Iterable[Location]) -> AbstractContextManager[None]:
    """Ray, where a folder holds more files than this process should read."""
    return campaign_session(config) if any(map(is_large, folders)) else nullcontext()


def require_network(config: Config) -> None:
    """Build the network and try it out; find the method and its parts."""
    logger.info("trying out the network %s", config.network.name)
    from atal_ray import networks  # loads PyTorch, which takes two seconds
    from atal_ray.acquisition.asking import Asking
    from atal_ray.acquisition.trained import networks_of
    from atal_ray.metrics.own_sums import METRICS
    from atal_ray.networks.conformance import check_network

    asking = Asking.of(config.query)
    for name in config.data.metrics:
        METRICS.find(name)
    for made in dict.fromkeys(networks_of(config)):
        network = networks.build(made)
        check_network(network, config.train)
        if config.asks:
            asking.check(network)


def _require_weights(campaign: CampaignFolder, config: Config) -> None:
    """Read the weights that a training will start from: they may have gone since the campaign began."""
    untrained = [n for n in range(config.rounds) if not campaign.round(n).exists(TRAINING)]
    if config.train.warm_start:
        untrained = [number for number in untrained if number == 0]
    if untrained and config.network.weights != "random":
        from atal_ray import networks

        networks.build(config.network)


def add_test_sets(campaign: CampaignFolder, config: Config, skip: str = "--data.on-bad-file skip") -> None:
    """Write the manifests of test sets that a campaign did not begin with; see `prepare`."""
    known = campaign.test_sets()
    added = {name: folder for name, folder in campaign.test_folders(config).items() if name not in known}
    if not added:
        return
    named_test_sets([Location.at(folder) for folder in config.data.tests])
    with _session_of(config, added.values()):
        bad = [_test_set(campaign, config, name, folder, skip) for name, folder in added.items()]
    _write_errors(campaign, concat(bad, BAD_SCHEMA))
    (campaign.root / WORK).delete()


def _test_set(campaign: CampaignFolder, config: Config, name: str, folder: Location, skip: str) -> pa.Table:
    """Write the manifest of a test set; the files that are left out of it."""
    limit = config.data.test_limit
    checked = check_images(folder, _work(campaign, folder, "", limit), config, limit=limit, skip=skip)
    missing, first = checked.without_mask
    if missing:
        raise DataError(
            f"{folder}: {counted(missing, 'test image has', 'test images have')} no mask, such as "
            f"{first}, and cannot judge: add the masks, or leave this set out of data.tests"
        )
    checked.write(campaign.root / "tests", f"{name}.parquet")
    return checked.bad


def _training_set(campaign: CampaignFolder, config: Config, folder: Location, skip: str) -> CheckedImages:
    """The training images, which have masks where any are read."""
    subset, limit = config.data.subset, config.data.limit
    work = _work(campaign, folder, subset, limit)
    checked = check_images(folder, work, config, subset=subset, limit=limit, skip=skip)
    _require_masks(folder, checked.without_mask[0], config)
    return checked


def _work(campaign: CampaignFolder, folder: Location, subset: str | None, limit: int | None) -> Folder:
    """Where the shards of one manifest leave their files: those of another folder or choice are not taken."""
    return campaign.root / WORK / hashlib.sha256(repr((folder.uri, subset, limit)).encode()).hexdigest()[:16]


def _write_errors(campaign: CampaignFolder, bad: pa.Table, listed: Folder | None = None) -> None:
    if not bad.num_rows:
        return
    reasons = pc.binary_join_element_wise(bad["file"], bad["reason"], " ")
    stage = pa.repeat(pa.scalar("prepare"), bad.num_rows)
    table = pa.table([stage, bad["image_id"], reasons], schema=ERROR_SCHEMA)
    add_errors(campaign.root, table)  # to those of the preparation, where a test set is added later
    left_out = counted(bad.num_rows, "bad file")
    logger.warning("left out %s, listed in %s", left_out, (listed or campaign.root).where(ERRORS))


def _folders(campaign: CampaignFolder, config: Config) -> tuple[Location, list[Location]]:
    """The training folder and the test folders; the embedded data where none is named."""
    tests = [Location.at(folder) for folder in config.data.tests]
    if config.data.train:
        return Location.at(config.data.train), tests
    with progress_bar(DEMO_TRAIN + DEMO_TEST, "drawing images", "image") as bar:
        for name, count, seed in (("train", DEMO_TRAIN, 0), ("test", DEMO_TEST, 1)):
            made = campaign.embedded(name)
            made.delete()  # an earlier attempt that was cut short
            with TemporaryDirectory() as drawn:
                made.copy_tree(write_dataset(drawn, count=count, seed=seed, on_image=bar.update))
    return campaign.training_data(config), tests or [Location(campaign.embedded("test").uri)]


def named_test_sets(folders: list[Location]) -> dict[str, Location]:
    """The folders of test sets by their names; DataError where two have one."""
    names = {folder.resolved().name: folder for folder in folders}
    if len(names) < len(folders):
        raise DataError(
            f"data.tests names two folders of one name: {', '.join(map(str, folders))}; rename one"
        )
    return names


def _require_masks(folder: Location, missing: int, config: Config) -> None:
    """Refuse what needs masks where there are none."""
    labels = config.regions.labels
    oracle = config.asks and config.budget.annotator == "oracle"
    reader = f"regions.labels {labels}" if config.regions.uses_masks else "the oracle" * oracle
    score = Names.of(config.query).score if config.asks and config.query.method != "atal" else None
    if not reader and score is not None and SCORES.find(score).mask:
        reader = f"query.score {score}"
    if reader and missing:
        raise DataError(
            f"{folder}: {counted(missing, 'image has', 'images have')} no mask, which "
            f"{reader} reads: add the masks{', or use budget.annotator answers' * (reader == 'the oracle')}"
        )
