"""The network of a finish on test sets that are added when it is trained already."""

import logging
from dataclasses import replace

from pyarrow import fs

from atal_ray.campaign.campaign_folder import ERRORS, IMAGE_SCORES, METRICS, CampaignFolder
from atal_ray.campaign.errors_file import add_errors
from atal_ray.campaign.evaluate import Evaluation
from atal_ray.campaign.finish.delivered import of_ensemble
from atal_ray.campaign.finish.delivered_network import WEIGHTS
from atal_ray.campaign.finish.finish_plan import Finish
from atal_ray.campaign.look import look
from atal_ray.campaign.prepare import add_test_sets
from atal_ray.campaign.scores_of_images import write_scores
from atal_ray.config import Config
from atal_ray.errors import DataError
from atal_ray.runtime.session import campaign_session
from atal_ray.store.folder import Folder
from atal_ray.store.location import Location

logger = logging.getLogger(__name__)

JUDGED = "judged"
"""Folder of an evaluation until its figures stand in metrics.json."""


def admit_tests(final: Folder, before: Finish, now: Finish) -> None:
    """Refuse test sets that are not there, and say which ones are judged already, from another folder.

    Raises:
        DataError: a folder is not there.
    """
    judged = final.read_json(METRICS)["network"] if final.exists(METRICS) else {}
    for folder in map(Location.at, now.tests):
        if folder.kind() != fs.FileType.Directory:
            raise DataError(f"{folder} is not there: give the folder of the test set with --tests")
        name = folder.resolved().name
        if name in judged and str(folder) not in map(str, map(Location.at, before.tests)):
            logger.warning("%s is judged already, as a set of this name: its figures stay", folder)


def judge_added(labelled: CampaignFolder, training: Config, plan: Finish, final: Folder) -> bool:
    """Add the figures of test sets that metrics.json lacks; whether there were any.

    Args:
        labelled: the campaign that was finished.
        training: the configuration of the network's training, with all test sets.
        plan: of the finish.
        final: its folder.
    """
    known = final.read_json(METRICS)
    folders = labelled.test_folders(training)
    lacking = [folder.uri for name, folder in folders.items() if name not in known["network"]]
    taught = CampaignFolder(final / JUDGED)
    taught.root.delete()  # of a call that was interrupted
    if not lacking:
        return False
    config = replace(training, data=replace(training.data, tests=tuple(lacking)))
    add_test_sets(taught, config, "--on-bad-file skip")
    taught.snapshots(0).write_bytes("1.pt", final.read_bytes(WEIGHTS))
    with campaign_session(config):
        look([Evaluation(taught, config, 0, "the network")])
    found = of_ensemble(taught.round(0).read_json(METRICS))
    if plan.image_scores:
        write_scores(final, found, [taught.round(0).read_table(IMAGE_SCORES)])
    if taught.root.exists(ERRORS):
        add_errors(final, taught.root.read_table(ERRORS))
    last = [*known["trainings"]][-1]
    snapshots = of_ensemble(labelled.round((plan.rounds or 1) - 1).read_json(METRICS))
    network = {**known["network"], **found}
    trainings = {**known["trainings"], last: network}
    final.write_json(METRICS, {**known, "network": network, "trainings": trainings, "snapshots": snapshots})
    taught.root.delete()
    return True
