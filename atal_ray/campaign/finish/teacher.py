"""The teacher: members of a trained ensemble look at every image; clicks and their regions overrule them.

With members m, mirrored x' and their number M, the map of an image is

    p = sum over m of (p_m(x) + p_m(x')') / 2 M,

the mean over members and mirrorings; where a click or the region that it labels says 0 or 1, it is that.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from atal_ray.campaign.campaign_folder import ERROR_SCHEMA, MANIFEST, CampaignFolder
from atal_ray.campaign.evaluate import predict, saliency_maps
from atal_ray.campaign.finish.finish_plan import Targets
from atal_ray.campaign.not_finite import NOT_FINITE
from atal_ray.campaign.snapshot_actor import SnapshotActor
from atal_ray.config import Config
from atal_ray.data.images import resize
from atal_ray.data.record import MANIFEST_SCHEMA, Record, digest, records
from atal_ray.errors import DataError
from atal_ray.labels.points import UNSURE, PointIndex
from atal_ray.labels.regions import region_labels
from atal_ray.metrics.saliency_map import png, to_uint8
from atal_ray.networks.inputs import to_batch
from atal_ray.runtime.bad_images import require_kept
from atal_ray.runtime.shard_files import part_name
from atal_ray.store.folder import Folder
from atal_ray.store.location import Location

IMAGES, MASKS, TARGETS = "images", "masks", "targets"
SHARES = "shares.parquet"
SURE = 0.8
"""The teacher is sure of a pixel above it, or below 1 less it."""
SHARE_SCHEMA = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("sure", pa.float32(), nullable=False),  # share of the pixels that the teacher is sure of
        pa.field("clicked", pa.float32(), nullable=False),  # share that clicks and their regions say
        pa.field("salient", pa.float32(), nullable=False),  # share at or above one half
        pa.field("wrong", pa.float32()),  # share on the other side of one half than the mask; null without
    ]
)
Row = dict[str, Any]
Map = NDArray[np.float32]


@dataclass(frozen=True)
class TeacherTask:
    """What a network is taught, and where that lies.

    Args:
        labelled: the campaign whose points and images it is about.
        config: of that campaign.
        rounds: of it whose points count.
        final: folder of the result, which gets images/ and masks/.
        taught: folder of the training on these maps, which gets targets/.
        flips: whether members look at mirrored images too.
        targets: as the teacher's maps are, or cut at one half.
    """

    labelled: CampaignFolder
    config: Config
    rounds: int
    final: Folder
    taught: Folder
    flips: bool
    targets: Targets


class TeacherShard(SnapshotActor):
    """An actor that turns the images of a shard into soft masks and into targets for a training.

    Args:
        campaign: whose snapshots teach.
        config: of their training.
        round_number: the round of it.
        task: what is taught.
        parts: folder of the files that shards leave.
    """

    def __init__(
        self, campaign: CampaignFolder, config: Config, round_number: int, task: TeacherTask, parts: Folder
    ) -> None:
        super().__init__(campaign, config, round_number)
        cv2.setNumThreads(1)
        self.task, self.parts = task, parts
        self.data = task.labelled.training_data(task.config)
        self.superpixels = task.labelled.superpixels(task.config)
        self.errors: list[Row] = []

    def __call__(self, row: Row) -> Row:
        """Write the masks and targets of a shard, link its images, and leave its rows of the new manifest."""
        task, self.errors = self.task, []
        table = task.labelled.root.read_rows(MANIFEST, row["start"], row["stop"])
        rows = records(table, self.data)
        ids = rows[0].image_id, rows[-1].image_id
        points = PointIndex(task.labelled.points(task.rounds - 1, *ids))
        manifest: list[Row] = []
        shares: list[Row] = []
        size = self.config.query.batch_size
        for start in range(0, len(rows), size):
            read = self._read(row, rows, range(start, min(start + size, len(rows))))
            for (record, image), seen in zip(read, self._maps(read), strict=True):
                if not np.isfinite(seen).all():
                    self._leave_out(record, NOT_FINITE)
                    continue
                try:
                    known = self._known(record, image, points)
                except DataError as error:  # regions.labels oracle_mask reads the mask
                    self._leave_out(record, str(error))
                    continue
                manifest.append(self._written(record, np.where(known == UNSURE, seen, known)))
                shares.append(share_of(record, seen, known))
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

    def _maps(self, read: list[tuple[Record, NDArray[np.uint8]]]) -> list[Map]:
        """The mean map of each image at its own size."""
        if not read:
            return []
        size = self.config.train.size
        images = to_batch(np.stack([resize(image, size) for _, image in read]), self.device)
        logits = predict(self.snapshots, images)
        mirrored = predict(self.snapshots, images.flip(-1)).flip(-1) if self.task.flips else logits[:0]
        return [
            mean_map(torch.cat([logits[:, index], mirrored[:, index]]), (record.height, record.width))
            for index, (record, _) in enumerate(read)
        ]

    def _known(self, record: Record, image: NDArray[np.uint8], points: PointIndex) -> NDArray[np.uint8]:
        """What clicks and their regions say of each pixel [H, W]: 0, 1, or 255 for nothing."""
        config, shape = self.task.config, (record.height, record.width)
        superpixels = self.superpixels.get(record, image) if config.regions.uses_superpixels else None
        by_mask = config.regions.labels == "oracle_mask" and record.mask is not None
        mask = record.read_mask().astype(bool) if by_mask else None
        return region_labels(superpixels, *points.of(record.image_id), shape, config.regions.labels, mask)

    def _written(self, record: Record, saliency: Map) -> Row:
        """The row of the new manifest, whose files are there."""
        task, source = self.task, Location.at(record.image)
        soft = to_uint8(saliency, record.image_id)
        if soft.max() == 1:  # a file of 0 and 1 is read as one of 0 and 255
            soft[:] = 0
        target = soft if task.targets == "soft" else np.where(saliency >= 0.5, 255, 0).astype(np.uint8)
        (task.final / IMAGES).copy_from(Folder(source.parent.uri), source.name)
        (task.final / MASKS).write_bytes(f"{record.image_id}.png", png(soft))
        data = png(target)
        (task.taught / TARGETS).write_bytes(f"{record.image_id}.png", data)
        return {
            "image_id": record.image_id,
            "image": f"{IMAGES}/{source.name}",
            "mask": f"{task.taught.name}/{TARGETS}/{record.image_id}.png",
            "height": record.height,
            "width": record.width,
            "image_bytes": record.image_bytes,
            "image_digest": record.image_digest,
            "mask_bytes": len(data),
            "mask_digest": digest(data),
        }


def mean_map(logits: torch.Tensor, shape: tuple[int, int]) -> Map:
    """The mean of the members' saliency maps [H, W], each resized before the sigmoid: logits [M, 1, S, S]."""
    found: Map = saliency_maps(logits, shape).mean(0).clamp(0, 1).numpy()
    return found


def share_of(record: Record, seen: Map, known: NDArray[np.uint8]) -> Row:
    """A row of SHARE_SCHEMA.

    Args:
        record: the image.
        seen: the teacher's map [H, W].
        known: what clicks and their regions say [H, W], 255 for nothing.
    """
    clicked = known != UNSURE
    sure = (seen > SURE) | (seen < 1 - SURE) | clicked
    salient = np.where(clicked, known == 1, seen >= 0.5)
    try:
        wrong = float((salient != record.read_mask().astype(bool)).mean())
    except DataError:  # there is none, or it is gone: nothing here needs it
        wrong = None
    return {
        "image_id": record.image_id,
        "sure": float(sure.mean()),
        "clicked": float(clicked.mean()),
        "salient": float(salient.mean()),
        "wrong": wrong,
    }
