"""The teacher: members of a trained ensemble look at every image; clicks and their regions overrule them.

With members m, mirrored x' and their number M, the map of an image is

    p = sum over m of (p_m(x) + p_m(x')') / 2 M,

the mean over members and mirrorings, and with a second ensemble beside it the mean of both; where a click or
the region that it labels says 0 or 1, it is that.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from atal_ray.campaign.campaign_folder import ERROR_SCHEMA, MANIFEST, CampaignFolder
from atal_ray.campaign.finish.finish_plan import Finish
from atal_ray.campaign.finish.known import Known, Labels, Map, TeacherView, confidence_of
from atal_ray.campaign.finish.shares import SHARE_SCHEMA, share_of
from atal_ray.campaign.not_finite import NOT_FINITE
from atal_ray.campaign.snapshot_actor import SnapshotActor
from atal_ray.config import Config
from atal_ray.data.images import resize
from atal_ray.data.record import MANIFEST_SCHEMA, Record, digest, records
from atal_ray.errors import DataError
from atal_ray.inference.saliency import predict, saliency_maps
from atal_ray.labels.confidence import soft_mask
from atal_ray.labels.points import UNSURE, PointIndex
from atal_ray.metrics.saliency_map import png, to_uint8
from atal_ray.networks.inputs import to_batch
from atal_ray.networks.protocol import SaliencyNetwork
from atal_ray.networks.snapshot_reader import read_snapshots
from atal_ray.runtime.bad_images import require_kept
from atal_ray.runtime.shard_files import part_name
from atal_ray.store.folder import Folder
from atal_ray.store.location import Location

IMAGES, MASKS, TARGETS = "images", "masks", "targets"
Row = dict[str, Any]
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Ensemble:
    """Networks of a training.

    Args:
        campaign: whose snapshots they are.
        config: of their training.
        round_number: the round of it.
    """

    campaign: CampaignFolder
    config: Config
    round_number: int


@dataclass(frozen=True)
class TeacherTask:
    """What a network is taught, and where that lies.

    Args:
        labelled: the campaign whose points and images it is about.
        config: of that campaign.
        rounds: of it whose points count.
        final: folder of the result, which gets images/ and masks/.
        taught: folder of the training on these maps, which gets targets/.
        plan: what is wanted.
        beside: teaches beside the first ensemble.
        weights: of background and salient labels, for a network that is taught by clicks alone; None for one
            that is taught by maps.
    """

    labelled: CampaignFolder
    config: Config
    rounds: int
    final: Folder
    taught: Folder
    plan: Finish
    beside: Ensemble | None = None
    weights: tuple[float, float] | None = None


class TeacherShard(SnapshotActor):
    """An actor that turns the images of a shard into soft masks and into targets for a training.

    Args:
        teacher: who teaches.
        task: what is taught.
        parts: folder of the files that shards leave.
    """

    def __init__(self, teacher: Ensemble, task: TeacherTask, parts: Folder) -> None:
        super().__init__(teacher.campaign, teacher.config, teacher.round_number)
        cv2.setNumThreads(1)
        self.task, self.parts = task, parts
        self.data = task.labelled.training_data(task.config)
        self.superpixels = task.labelled.superpixels(task.config)
        self.errors: list[Row] = []

    @cached_property
    def beside(self) -> list[SaliencyNetwork]:
        """The networks of the second ensemble, where there is one."""
        other = self.task.beside
        assert other is not None
        folder = other.campaign.snapshots(other.round_number)
        return [network.to(self.device) for network in read_snapshots(folder, other.config, CPU)]

    def __call__(self, row: Row) -> Row:
        """Write the masks and targets of a shard, link its images, and leave its rows of the new manifest."""
        task, self.errors = self.task, []
        table = task.labelled.root.read_rows(MANIFEST, row["start"], row["stop"])
        rows = records(table, self.data)
        ids = rows[0].image_id, rows[-1].image_id
        points = PointIndex(task.labelled.points(task.rounds - 1, *ids))
        known = Known(task.config, task.plan, points, self.superpixels)
        manifest: list[Row] = []
        shares: list[Row] = []
        size = self.config.query.batch_size
        for start in range(0, len(rows), size):
            read = self._read(row, rows, range(start, min(start + size, len(rows))))
            for (record, image), seen in zip(read, self._look(read, known), strict=True):
                if seen is not None and not np.isfinite(seen.saliency).all():
                    self._leave_out(record, NOT_FINITE)
                    continue
                try:
                    labels = known.of(record, image, seen)
                except DataError as error:  # regions.labels oracle_mask reads the mask
                    self._leave_out(record, str(error))
                    continue
                if task.weights is not None:
                    manifest.append(self._by_clicks(record, known.at_clicks(record, labels), seen))
                    continue
                assert seen is not None
                manifest.append(self._written(record, np.where(labels == UNSURE, seen.saliency, labels)))
                shares.append(share_of(record, seen.saliency, labels))
        for kind, found, schema in (
            ("errors", self.errors, ERROR_SCHEMA),
            ("shares", shares, SHARE_SCHEMA),
            ("manifest", manifest, MANIFEST_SCHEMA),  # the last one, after which the shard is done
        ):
            self.parts.write_table(part_name(row["shard"], kind), pa.Table.from_pylist(found, schema))
        return {"shard": row["shard"], "images": row["stop"] - row["start"]}

    def _leave_out(self, record: Record, reason: str) -> None:
        """Make an image an error; what an earlier attempt wrote of it goes."""
        name = Location.at(record.image).name
        for folder, file in ((IMAGES, name), (MASKS, f"{record.image_id}.png")):
            (self.task.final / folder).remove(file)
        self.errors.append({"stage": "finish", "image_id": record.image_id, "reason": reason})

    def _read(self, row: Row, rows: list[Record], numbers: range) -> list[tuple[Record, NDArray[np.uint8]]]:
        """The readable images of a batch; the others become errors."""
        found = []
        for number in numbers:
            try:
                require_kept(row, row["start"] + number)
                found.append((rows[number], rows[number].read_image()))
            except DataError as error:
                self._leave_out(rows[number], str(error))
        return found

    def _look(
        self, read: list[tuple[Record, NDArray[np.uint8]]], known: Known
    ) -> list[TeacherView] | list[None]:
        """What the teacher sees in each image, at its own size; None where nobody asks."""
        if not read or (self.task.weights is not None and not known.needs_teacher()):
            return [None] * len(read)
        images = self._batch(read, self.config)
        logits = [self._logits(self.snapshots, images)]
        if self.task.beside is not None:  # trained at a side of its own, perhaps
            logits.append(self._logits(self.beside, self._batch(read, self.task.beside.config)))
        features = images[:, :0]
        if self.task.plan.sieve:
            last = self.snapshots[-1]
            with torch.no_grad():
                features = last(last.normalise(images)).features
        shapes = [(record.height, record.width) for record, _ in read]
        return [
            TeacherView(mean_map([one[:, index] for one in logits], shapes[index]), features[index])
            for index in range(len(read))
        ]

    def _batch(self, read: list[tuple[Record, NDArray[np.uint8]]], config: Config) -> torch.Tensor:
        """The images at the side of a training."""
        return to_batch(np.stack([resize(image, config.train.size) for _, image in read]), self.device)

    def _logits(self, members: list[SaliencyNetwork], images: torch.Tensor) -> torch.Tensor:
        """Logits [M, B, 1, S, S] of the members, and of their looks at the mirror images."""
        with torch.no_grad():
            plain = predict(members, images)
            if not self.task.plan.flips:
                return plain
            return torch.cat([plain, predict(members, images.flip(-1)).flip(-1)])

    def _by_clicks(self, record: Record, labels: Labels, seen: TeacherView | None) -> Row:
        """The row of the manifest of a network that clicks alone teach; its target is a soft mask."""
        task, plan = self.task, self.task.plan
        assert task.weights is not None
        saliency = seen.saliency if seen is not None and plan.agreement else None
        known, confidence = confidence_of(labels, task.weights, plan.clicks.border, saliency)
        return self._row(record, self._linked(record), soft_mask(known, confidence))

    def _written(self, record: Record, saliency: Map) -> Row:
        """The row of the new manifest, whose files are there."""
        task = self.task
        soft = to_uint8(saliency, record.image_id)
        (task.final / MASKS).write_bytes(f"{record.image_id}.png", png(unmistakable(soft)))
        half = task.plan.targets == "half"
        target = np.where(saliency >= 0.5, 255, 0).astype(np.uint8) if half else soft
        return self._row(record, self._linked(record), target)

    def _linked(self, record: Record) -> str:
        """The image's path in the folder of the result, where it lies now too."""
        source = Location.at(record.image)
        (self.task.final / IMAGES).copy_from(Folder(source.parent.uri), source.name)
        return f"{IMAGES}/{source.name}"

    def _row(self, record: Record, image: str, target: NDArray[np.uint8]) -> Row:
        """The row of the new manifest, whose target is there."""
        task, data = self.task, png(unmistakable(target))
        (task.taught / TARGETS).write_bytes(f"{record.image_id}.png", data)
        return {
            "image_id": record.image_id,
            "image": image,
            "mask": f"{task.taught.name}/{TARGETS}/{record.image_id}.png",
            "height": record.height,
            "width": record.width,
            "image_bytes": record.image_bytes,
            "image_digest": record.image_digest,
            "mask_bytes": len(data),
            "mask_digest": digest(data),
        }


def unmistakable(soft: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A soft mask that no reader takes for one of 0 and 255: a largest level of 1 becomes 0."""
    return np.zeros_like(soft) if soft.max() == 1 else soft


def mean_map(ensembles: list[torch.Tensor], shape: tuple[int, int]) -> Map:
    """The mean of the ensembles' mean saliency maps [H, W]; their logits [M, 1, S, S] are resized before the
    sigmoid.
    """
    means = torch.stack([saliency_maps(logits, shape).mean(0) for logits in ensembles])
    found: Map = means.mean(0).clamp(0, 1).cpu().numpy()
    return found
