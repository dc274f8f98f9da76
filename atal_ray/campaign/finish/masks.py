"""Stage: snapshots and points -> a soft mask and a target of every image, and a manifest to train on them."""

import logging
from dataclasses import replace

import pyarrow.compute as pc

from atal_ray.campaign.campaign_folder import ERROR_SCHEMA, MANIFEST, CampaignFolder
from atal_ray.campaign.cost import TEACHER_COST, WALL, note, read_cost, timed
from atal_ray.campaign.errors_file import add_errors
from atal_ray.campaign.finish.shares import SHARE_SCHEMA, SHARES
from atal_ray.campaign.finish.teacher import Ensemble, TeacherShard, TeacherTask
from atal_ray.campaign.not_finite import require_finite
from atal_ray.data.record import MANIFEST_SCHEMA
from atal_ray.errors import DataError, counted
from atal_ray.labels.points import concat
from atal_ray.runtime.bad_images import BadImages
from atal_ray.runtime.shard_files import ShardFiles, part_name
from atal_ray.runtime.shards import Pool, run_shards, shard_rows

logger = logging.getLogger(__name__)

PARTS = "masks.parts"
"""Folder of what shards leave until all are there."""


def taught_by(task: TeacherTask, teacher: Ensemble) -> None:
    """Make masks, and note what the teacher takes; see `make_masks`."""
    out, images = CampaignFolder(task.taught).round(0), task.labelled.root.count_rows(MANIFEST)
    note(out, TEACHER_COST, {"passes": images * looks_of(task, teacher)})
    with timed(out, TEACHER_COST):
        make_masks(task, teacher)
    actors = Pool.of_query(replace(teacher.config, resources=task.plan.resources), network=True).actors
    held = read_cost(out)[TEACHER_COST][WALL] * actors
    note(out, TEACHER_COST, {"device_seconds": round(held, 3)})


def looks_of(task: TeacherTask, teacher: Ensemble) -> int:
    """How often networks look at an image: each member at it and its mirror image, and once for features."""
    plan = task.plan
    if task.weights is not None and not (plan.sieve or plan.agreement):
        return 0  # labelled pixels alone teach
    members = sum(one.config.train.cycles for one in (teacher, task.beside) if one)
    return members * (2 if plan.flips else 1) + bool(plan.sieve)


def make_masks(task: TeacherTask, teacher: Ensemble) -> None:
    """Let a teacher look at every image; writes its masks and targets, shares.parquet, errors.parquet for
    images that are left out and, last, the manifest of the folder that is taught.

    Args:
        task: what is taught.
        teacher: who looks.

    Raises:
        DataError: an image cannot be used, and such ones are to be refused.
        DivergedError: no image has a map of finite numbers.
    """
    labelled, taught, plan = task.labelled, task.taught, task.plan
    config = replace(teacher.config, resources=plan.resources)
    title, images = f"{taught.name}: masks", labelled.root.count_rows(MANIFEST)
    rows, parts = shard_rows(images, config.query.shard_size), ShardFiles(taught / PARTS, "manifest")
    for row in run_shards(
        parts.pending(rows),
        Pool.of_query(config, network=True),
        load=None,
        actor=TeacherShard,
        arguments={
            "teacher": replace(teacher, config=config),
            "task": task,
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
        first, left_out = errors.slice(0, 1).to_pylist()[0], counted(errors.num_rows, "image")
        sentence = f"{left_out} cannot be used, such as {first['image_id']}: {first['reason']}"
        if plan.on_bad_file == "refuse":
            _do_again(parts, shards)
            raise DataError(f"{title}: {sentence}; repair it, or leave it out with --on-bad-file skip")
        logger.warning("%s: %s", title, sentence)
        add_errors(taught, errors)
    taught.write_tables(SHARES, parts.tables("shares", shards), SHARE_SCHEMA)
    taught.write_tables(MANIFEST, parts.tables("manifest", shards), MANIFEST_SCHEMA)
    parts.folder.delete()


def _do_again(parts: ShardFiles, shards: range) -> None:
    """Declare the shards with errors unfinished: their files may be repaired before the next call."""
    for shard in shards:
        if parts.folder.count_rows(part_name(shard, "errors")):
            parts.folder.remove(part_name(shard, "manifest"))
