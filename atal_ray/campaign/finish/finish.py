"""The last stage: all points of a campaign -> dense pseudo-masks, and one network that is trained on them.

    FOLDER/
      finish.yaml       what is done
      points.parquet    all points
      images/ masks/    a data set: the campaign's images, and a soft 8-bit mask of each
      shares.parquet    of each image: how much the teacher is sure of, clicks say, is salient, is wrong
      errors.parquet    images that were left out, and why
      network.pt        the network's weights
      network.yaml      which network that is, and the side of its images
      cost.json         what each training took, and its teacher
      image_scores.parquet  its scores of each test image, if wanted
      metrics.json      its metrics beside those of the snapshots that taught it; written last

A network that was trained on the maps of one teacher may teach the next (`passes`), and one that was trained
on labelled pixels alone may teach beside the snapshots (`clicks.trained`); what a training leaves lies in
pass-N or by-clicks until all are done.
"""

import logging
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from atal_ray.campaign.campaign_folder import (
    ERRORS,
    IMAGE_SCORES,
    MANIFEST,
    METRICS,
    POINTS,
    TRAINING,
    CampaignFolder,
)
from atal_ray.campaign.cost import TRAINING_COST, note_training, timed
from atal_ray.campaign.errors_file import add_errors
from atal_ray.campaign.evaluate import Evaluation
from atal_ray.campaign.finish.delivered import deliver
from atal_ray.campaign.finish.delivered_network import NETWORK, WEIGHTS, DeliveredNetwork
from atal_ray.campaign.finish.finish_plan import FINISH_PLAN, Finish
from atal_ray.campaign.finish.judged import admit_tests, judge_added
from atal_ray.campaign.finish.known import class_weights
from atal_ray.campaign.finish.masks import taught_by
from atal_ray.campaign.finish.shares import SHARES
from atal_ray.campaign.finish.teacher import Ensemble, TeacherTask
from atal_ray.campaign.life import Run, run_in
from atal_ray.campaign.look import look
from atal_ray.campaign.prepare import add_test_sets, named_test_sets, require_network
from atal_ray.campaign.run import write_report
from atal_ray.campaign.train import train
from atal_ray.config import Config, config_file
from atal_ray.config.section import require
from atal_ray.errors import CampaignError, reworded
from atal_ray.labels.points import POINT_SCHEMA, concat, in_order
from atal_ray.report.compared import read_compared
from atal_ray.report.delivered_figures import FINAL
from atal_ray.runtime.session import campaign_session
from atal_ray.store.folder import Folder
from atal_ray.store.lease import LOCK
from atal_ray.store.location import Location

logger = logging.getLogger(__name__)

BY_CLICKS = "by-clicks"

_OWN_WORDS = {
    r"start another campaign with a lower": "finish into another folder with a lower",
    r"\bdata\.tests\b": "tests",
    r"--data\.on-bad-file": "--on-bad-file",
}
"""What sentences of a campaign's stages say -> what those of a finish say."""


def finish(plan: Finish, folder: Path | str) -> Folder:
    """Make masks of a campaign's points and train a network on them, or go on with it.

    Args:
        plan: must be the one that the folder was started with, but for what may change.
        folder: of the result; made if it is not there.

    Raises:
        ConfigError, CampaignError, DataError, CheckpointError: what is wrong with the plan, the campaign, its
            images or the backbone's weights.
    """
    with reworded(_OWN_WORDS):
        return _finish(plan, Folder.at(folder))


def _finish(plan: Finish, final: Folder) -> Folder:
    require(bool(plan.campaign), "campaign is empty: name the folder of the campaign that is to be finished")
    made = Finishing.of(plan, final)
    started, looked_at = partial(final.exists, POINTS), partial(admit_tests, final)
    with run_in(final, made.plan, FINISH_PLAN, started=started, admit=looked_at) as run:
        if not final.exists(METRICS):
            require_network(made.training)
            with campaign_session(made.training):
                made.make(run)
        written = partial(deliver, made.labelled, made.plan, final, made.trainings())
        run.finish(written)
        if judge_added(made.labelled, made.training, made.plan, final):
            run.finish(written)
        for taught in made.trainings():
            taught.root.delete()
    if final.uri == (made.labelled.root / FINAL).uri:
        write_report(made.labelled, made.config)  # says first what was delivered
    return final


@dataclass(frozen=True)
class Finishing:
    """A finish under way.

    Args:
        plan: with all paths absolute, and the number of rounds.
        labelled: the campaign.
        config: of the campaign.
        training: the configuration of the network's training.
        final: the folder of the result.
    """

    plan: Finish
    labelled: CampaignFolder
    config: Config
    training: Config
    final: Folder

    @classmethod
    def of(cls, plan: Finish, final: Folder) -> "Finishing":
        """What a plan says of a campaign."""
        labelled = CampaignFolder(Folder.at(plan.campaign))
        require(final.uri != labelled.root.uri, f"{final.uri} is the campaign itself: name another folder")
        begun = final.exists(FINISH_PLAN)
        require(
            begun or not set(final.names()) - {LOCK},
            f"{final.uri} holds files that were not made by `atal finish`: name a new folder",
        )
        config = config_file.of_campaign(labelled.root)
        finished = labelled.committed_rounds()
        if not finished or (not config.asks and config.data.points is None):
            raise CampaignError(
                f"{labelled.root.uri} has no finished round with points: there is nothing to finish yet"
            )
        require(
            config.regions.uses_superpixels or not (plan.sieve or plan.finer or plan.agreement),
            f"sieve, finer and agreement are about clicked superpixels, and regions.labels of "
            f"{labelled.root.uri} is {config.regions.labels}: leave them out",
        )
        before = config_file.kept(final, FINISH_PLAN, Finish).rounds if final.exists(POINTS) else None
        rounds = plan.rounds or before or finished  # the campaign may have gone on meanwhile
        require(rounds <= finished, f"rounds is {rounds}, but {labelled.root.uri} has finished {finished}")
        named_test_sets([Location.at(folder) for folder in plan.tests])
        read_compared([plan.compare] if plan.compare else [])  # a wrong name is found now
        absolute = config_file.absolute(plan.training(final.uri, config))
        plan = replace(
            plan,
            campaign=labelled.root.uri,
            rounds=rounds,
            compare=plan.compare and config_file.path(plan.compare),
            tests=absolute.data.tests,
            network=absolute.network,
            resources=absolute.resources,
        )
        return cls(plan, labelled, config, absolute, final)

    def passes(self) -> list[CampaignFolder]:
        """The folders of the trainings, each that of a campaign of one round on full masks."""
        return [CampaignFolder(self.final / f"pass-{number}") for number in range(1, self.plan.passes + 1)]

    def by_clicks(self) -> CampaignFolder:
        """The folder of the training on labelled pixels alone, where there is one."""
        return CampaignFolder(self.final / BY_CLICKS)

    def trainings(self) -> list[CampaignFolder]:
        """The folders of all trainings, in their order."""
        return [*([self.by_clicks()] if self.plan.clicks.trained else []), *self.passes()]

    def make(self, run: Run) -> None:
        """Do what is missing: points, then in each pass masks, training and evaluation."""
        final = self.final
        for taught in self.trainings():
            self._list_tests(taught)
        self.write_points(run)
        teacher, beside = self.snapshots(), None
        if self.plan.clicks.trained:
            beside = self.taught_by_clicks(run)
        for taught in self.passes():
            task = replace(self._task(taught), beside=beside)
            run.step(taught.root, MANIFEST, partial(taught_by, task, teacher))
            self._train(run, taught, self.training)
            teacher, beside = Ensemble(taught, self.training, 0), None
        final.copy_from(taught.root, SHARES)
        for each in self.trainings():
            if each.root.exists(ERRORS):
                add_errors(final, each.root.read_table(ERRORS))
        if self.plan.image_scores:
            final.copy_from(taught.round(0), IMAGE_SCORES)
        trained = DeliveredNetwork(network=self.plan.network, size=self.plan.train.size)
        final.write_bytes(NETWORK, config_file.to_yaml(trained).encode())
        final.write_bytes(WEIGHTS, taught.snapshots(0).read_bytes("1.pt"))

    def write_points(self, run: Run) -> None:
        """All points in the order of the images, those of an image in the order of the rounds."""
        read = self.labelled.images_with_points(range(self.plan.rounds or 0))
        tables = (in_order(concat(points)) for _, points in read)
        run.step(self.final, POINTS, lambda: self.final.write_tables(POINTS, tables, POINT_SCHEMA))

    def snapshots(self) -> Ensemble:
        """The snapshots of the campaign's last round that counts."""
        return Ensemble(self.labelled, self.config, (self.plan.rounds or 1) - 1)

    def _task(self, taught: CampaignFolder) -> TeacherTask:
        return TeacherTask(
            self.labelled, self.config, self.plan.rounds or 0, self.final, taught.root, self.plan
        )

    def taught_by_clicks(self, run: Run) -> Ensemble:
        """Train the network that labelled pixels alone teach."""
        taught, config = self.by_clicks(), self.plan.training_by_clicks(self.final.uri, self.config)

        def make() -> None:
            weights = class_weights(self.plan.clicks.balance, self.labelled, self.config, self.final)
            taught_by(replace(self._task(taught), weights=weights), self.snapshots())

        run.step(taught.root, MANIFEST, make)
        self._train(run, taught, config)
        return Ensemble(taught, config, 0)

    def _train(self, run: Run, taught: CampaignFolder, config: Config) -> None:
        """Train a network and evaluate it."""
        name, out = taught.root.name, taught.round(0)

        def trained() -> None:
            with timed(out, TRAINING_COST):
                train(taught, config, 0, name)
            note_training(taught, config, 0)

        run.step(out, POINTS, lambda: out.write_table(POINTS, POINT_SCHEMA.empty_table()))
        run.step(out, TRAINING, trained)
        run.step(out, METRICS, lambda: look([Evaluation(taught, config, 0, name)]))

    def _list_tests(self, taught: CampaignFolder) -> None:
        """List the images of the test sets: what is wrong with one is said before anything is trained."""
        if taught.round(0).exists(METRICS):
            return
        tests, first = taught.root / "tests", self.trainings()[0]
        tests.delete()  # of an earlier call, perhaps with other sets
        before = self.labelled.test_folders(self.config)
        for name, folder in self.labelled.test_folders(self.training).items():
            known = self.labelled if before.get(name) == folder else first
            tests.copy_from(known.root / "tests", f"{name}.parquet")
        add_test_sets(taught, self.training, "--on-bad-file skip")
