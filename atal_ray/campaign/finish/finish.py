"""The last stage: all points of a campaign -> dense pseudo-masks, and one network that is trained on them.

    FOLDER/
      finish.yaml       what is done
      points.parquet    all points
      images/ masks/    a data set: the campaign's images, and a soft 8-bit mask of each
      shares.parquet    of each image: how much the teacher is sure of, clicks say, is salient, is wrong
      errors.parquet    images that were left out, and why
      network.pt        the network's weights
      network.yaml      which network that is, and the side of its images
      metrics.json      its metrics beside those of the snapshots that taught it; written last

A network that was trained on the maps of one teacher may teach the next (`passes`); what a pass leaves lies
in pass-N until all are done.
"""

import logging
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pyarrow.compute as pc

from atal_ray.campaign.campaign_folder import (
    ERROR_SCHEMA,
    ERRORS,
    MANIFEST,
    METRICS,
    POINTS,
    TRAINING,
    CampaignFolder,
)
from atal_ray.campaign.evaluate import Evaluation
from atal_ray.campaign.finish.delivered import deliver
from atal_ray.campaign.finish.delivered_network import NETWORK, WEIGHTS
from atal_ray.campaign.finish.finish_plan import FINISH_PLAN, DeliveredNetwork, Finish
from atal_ray.campaign.finish.teacher import SHARE_SCHEMA, SHARES, Lesson, TeacherShard
from atal_ray.campaign.life import Run, run_in
from atal_ray.campaign.look import look
from atal_ray.campaign.not_finite import require_finite
from atal_ray.campaign.prepare import add_test_sets, require_network
from atal_ray.campaign.run import write_report
from atal_ray.campaign.train import train
from atal_ray.config import Config, config_file
from atal_ray.config.section import require
from atal_ray.data.record import MANIFEST_SCHEMA
from atal_ray.errors import CampaignError, DataError, counted
from atal_ray.labels.points import POINT_SCHEMA, concat
from atal_ray.report.delivered_figures import FINAL
from atal_ray.runtime.bad_images import BadImages
from atal_ray.runtime.session import campaign_session
from atal_ray.runtime.shard_files import ShardFiles
from atal_ray.runtime.shards import Pool, run_shards, shard_rows
from atal_ray.store.folder import Folder

logger = logging.getLogger(__name__)

TAUGHT = "taught.parts"
"""Folder of what the teacher's shards leave until all are there."""


def finish(plan: Finish, folder: Path | str) -> Folder:
    """Make masks of a campaign's points and train a network on them, or go on with it.

    Args:
        plan: must be the one that the folder was started with, but for what may change.
        folder: of the result; made if it is not there.

    Raises:
        ConfigError, CampaignError, DataError, CheckpointError: what is wrong with the plan, the campaign, its
            images or the backbone's weights.
    """
    require(bool(plan.campaign), "campaign is empty: name the folder of the campaign that is to be finished")
    made = _Finishing.of(plan, folder)
    final = made.final
    with run_in(final, made.plan, FINISH_PLAN, started=partial(final.exists, POINTS)) as run:
        if not final.exists(METRICS):
            require_network(made.training)
            with campaign_session(made.training):
                made.make(run)
        run.finish(lambda: deliver(made.labelled, made.plan, final, made.passes()))
        for taught in made.passes():
            taught.root.delete()
    if final.uri == (made.labelled.root / FINAL).uri:
        write_report(made.labelled, made.config)  # says first what was delivered
    return final


@dataclass(frozen=True)
class _Finishing:
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
    def of(cls, plan: Finish, folder: Path | str) -> "_Finishing":
        """What a plan says of a campaign."""
        final, labelled = Folder.at(folder), CampaignFolder(Folder.at(plan.campaign))
        require(final.uri != labelled.root.uri, f"{folder} is the campaign itself: name another folder")
        config = config_file.of_campaign(labelled.root)
        finished = labelled.committed_rounds()
        if not finished or (not config.asks and config.data.points is None):
            raise CampaignError(
                f"{labelled.root.uri} has no finished round with points: there is nothing to finish yet"
            )
        rounds = plan.rounds or finished
        require(rounds <= finished, f"rounds is {rounds}, but {labelled.root.uri} has finished {finished}")
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

    def make(self, run: Run) -> None:
        """Do what is missing: points, then in each pass masks, training and evaluation."""
        final, rounds = self.final, range(self.plan.rounds or 0)
        run.step(final, POINTS, lambda: self._write_points(rounds))
        teacher, config, number = self.labelled, self.config, rounds[-1]
        for taught in self.passes():
            run.step(taught.root, MANIFEST, partial(self._teach, teacher, config, number, taught))
            self._train(run, taught)
            teacher, config, number = taught, self.training, 0
        final.copy_from(taught.root, SHARES)
        final.copy_from(taught.root, ERRORS)
        trained = DeliveredNetwork(network=self.plan.network, size=self.plan.train.size)
        final.write_bytes(NETWORK, config_file.to_yaml(trained).encode())
        final.write_bytes(WEIGHTS, taught.snapshots(0).read_bytes("1.pt"))

    def _write_points(self, rounds: range) -> None:
        """All points in the order of the images, those of an image in the order of the rounds."""
        read = self.labelled.images_with_points(rounds)
        tables = (
            concat(points).sort_by(
                [("image_id", "ascending"), ("round", "ascending"), ("order", "ascending")]
            )
            for _, points in read
        )
        self.final.write_tables(POINTS, tables, POINT_SCHEMA)

    def _teach(self, teacher: CampaignFolder, config: Config, number: int, taught: CampaignFolder) -> None:
        """Write the masks and targets of a pass, and last its manifest."""
        labelled, plan = self.labelled, self.plan
        images = labelled.root.count_rows(MANIFEST)
        rows, parts = (
            shard_rows(images, config.query.shard_size),
            ShardFiles(taught.root / TAUGHT, "manifest"),
        )
        lesson = Lesson(
            labelled, self.config, plan.rounds or 0, self.final, taught.root, plan.flips, plan.targets
        )
        config = replace(config, resources=plan.resources)
        title = f"{taught.root.name}: masks"
        for row in run_shards(
            parts.pending(rows),
            Pool.of_query(config, network=True),
            load=None,
            actor=TeacherShard,
            arguments={
                "campaign": teacher,
                "config": config,
                "round_number": number,
                "lesson": lesson,
                "parts": parts.folder,
            },
            title=title,
            total=images,
            bad=BadImages.of_table(labelled.root, MANIFEST, plan.on_bad_file),
        ):
            del row  # its masks are files already
        shards = range(len(rows))
        errors = concat(parts.tables("errors", shards), ERROR_SCHEMA)
        done = images - pc.count_distinct(errors["image_id"]).as_py()
        require_finite((reason.as_py() for reason in errors["reason"]), done, title, config.train.lr_max)
        if errors.num_rows:
            first = errors.slice(0, 1).to_pylist()[0]
            left_out = counted(errors.num_rows, "image")
            sentence = f"{left_out} cannot be used, such as {first['image_id']}: {first['reason']}"
            if plan.on_bad_file == "refuse":
                parts.folder.delete()  # the files will be others when they are read again
                raise DataError(f"{title}: {sentence}; repair it, or leave it out with --on-bad-file skip")
            logger.warning("%s: %s", title, sentence)
            taught.root.write_table(ERRORS, errors)
        taught.root.write_tables(SHARES, parts.tables("shares", shards), SHARE_SCHEMA)
        taught.root.write_tables(MANIFEST, parts.tables("manifest", shards), MANIFEST_SCHEMA)
        parts.folder.delete()

    def _train(self, run: Run, taught: CampaignFolder) -> None:
        """Train the network of a pass and evaluate it."""
        name, out = taught.root.name, taught.round(0)
        for test_set in self.training_sets():
            (taught.root / "tests").copy_from(self.labelled.root / "tests", f"{test_set}.parquet")
        add_test_sets(taught, self.training)
        run.step(out, POINTS, lambda: out.write_table(POINTS, POINT_SCHEMA.empty_table()))
        run.step(out, TRAINING, lambda: train(taught, self.training, 0, name))
        run.step(out, METRICS, lambda: look([Evaluation(taught, self.training, 0, name)]))

    def training_sets(self) -> list[str]:
        """Test sets whose images the campaign has listed, with the same folder and limit."""
        folders, before = self.labelled.test_folders(self.training), self.labelled.test_folders(self.config)
        return [name for name, folder in folders.items() if before.get(name) == folder]
