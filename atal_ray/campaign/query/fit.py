"""Stage: snapshots and labelled points -> what the parts of a method learn of them, before a query.

One actor does it, for most need one pass over the images or a few of them.
"""

import logging
import time
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from atal_ray import seeding
from atal_ray.acquisition.asking import Asking
from atal_ray.acquisition.fitted import LabelledBatch
from atal_ray.acquisition.grid import grid_position
from atal_ray.acquisition.trained import build_member
from atal_ray.campaign.campaign_folder import FITTED, MANIFEST, CampaignFolder
from atal_ray.campaign.cost import FIT_COST, note_fit, timed
from atal_ray.campaign.query.fitted_file import write_fitted
from atal_ray.config import Config
from atal_ray.data.images import resize
from atal_ray.data.record import MANIFEST_SCHEMA, slice_rows
from atal_ray.errors import DataError, counted
from atal_ray.labels.points import UNSURE, PointIndex, concat
from atal_ray.networks.inputs import choose_device, to_batch
from atal_ray.networks.snapshot_reader import read_snapshots
from atal_ray.runtime.capacity import Place, gpus_per_actor
from atal_ray.runtime.many_actors import call_on_actor
from atal_ray.runtime.own_threads import own_threads
from atal_ray.runtime.progress import Progress, watch
from atal_ray.store.folder import Folder
from atal_ray.store.mapped import write_mapped
from atal_ray.store.streamed import row_groups

logger = logging.getLogger(__name__)

PARTS = f"{FITTED}.parts"
"""Folder of the progress."""


def fit(campaign: CampaignFolder, config: Config, round_number: int, out: Folder | None = None) -> None:
    """Fit the parts of the query's method to the labelled pixels; writes fitted.pt.

    Does nothing where it is there, or no part is to be fitted.

    Args:
        campaign: the folder.
        config: the configuration.
        round_number: the round whose networks and points are used.
        out: where the file goes; the folder of the round if unset.
    """
    out = out or campaign.round(round_number)
    if not Asking.of(config.query).fits or out.exists(FITTED):
        return
    where = config.resources
    inline = where.backend == "inline"
    gpus = 0 if inline else gpus_per_actor(where.gpus, where.scoring_nodes)
    place = Place(config.query.threads, gpus, where.scoring_nodes)
    title = f"round {round_number}: fit of {config.query.method}"
    images = campaign.root.count_rows(MANIFEST)
    with timed(out, FIT_COST), watch(out / PARTS, images, title, "image"):
        call_on_actor(
            fit_here, campaign, config, round_number, out, place=place, backend=where.backend, title=title
        )
    (out / PARTS).delete()


def fit_here(campaign: CampaignFolder, config: Config, round_number: int, out: Folder) -> None:
    """The same in this process."""
    began = time.monotonic()
    with own_threads(), TemporaryDirectory() as scratch:
        torch.set_num_threads(config.query.threads)
        data = TrainedRound(campaign, config, round_number, Progress(out / PARTS), Path(scratch))
        states = Asking.of(config.query).fit(data)
        note_fit(out, data.passes, time.monotonic() - began)
        write_fitted(out, states)


class TrainedRound:
    """The images and points of a round with its networks; see `acquisition.fitted.RoundData`.

    Args:
        campaign: the folder.
        config: the configuration.
        round_number: the round.
        progress: is told how far each pass over the images is.
        scratch: a local folder that manifest and points are mapped from.
    """

    def __init__(
        self,
        campaign: CampaignFolder,
        config: Config,
        round_number: int,
        progress: Progress,
        scratch: Path,
    ) -> None:
        self.config, self.folder, self.progress = config, campaign.training_data(config), progress
        self.device = choose_device(config.resources.gpus)
        numbers = [*Asking.of(config.query).speaking([*range(1, config.train.cycles + 1)])]
        build = partial(build_member, config, load_weights=False)
        self.networks = read_snapshots(campaign.snapshots(round_number), config, self.device, numbers, build)
        mapped = write_mapped(scratch / "manifest", row_groups(campaign.root, MANIFEST), MANIFEST_SCHEMA)
        self.manifest = pa.Table.from_batches(mapped, MANIFEST_SCHEMA)
        read = campaign.images_with_points(range(round_number + 1))
        self.points = PointIndex.on_disk((concat(points) for _, points in read), scratch / "points")
        self.images = self.manifest.num_rows
        self.seed = seeding.derive(config.seed, "fit", round_number)
        self.campaign_seed = config.seed
        self.passes = 0
        """Of networks over images, as far as the fit has come."""

    def batches(self, numbers: Collection[int] | None = None, size: int = 0) -> Iterator[LabelledBatch]:
        """The images of these numbers in this order, so many or `query.batch_size` at a time.

        Raises:
            DataError: none of them can be read.
        """
        order = range(self.images) if numbers is None else [*numbers]
        size, read, problems = size or self.config.query.batch_size, 0, list[str]()
        for start in range(0, len(order), size):
            batch, wrong = self._batch(order[start : start + size])
            problems += wrong[: 1 - len(problems)]
            if batch is not None:
                read += len(batch.image_id)
                self.passes += len(batch.image_id) * len(self.networks)
                yield batch
            self.progress.leave(self.images * min(1, (start + size) / len(order)))
        if not read and len(order):
            raise DataError(
                f"no image of {self.folder} can be read to fit the method to its points: {problems[0]}"
            )
        if read < len(order):
            left_out = counted(len(order) - read, "image")
            logger.warning("the fit of the method goes without %s, such as: %s", left_out, problems[0])

    def _batch(self, numbers: Sequence[int]) -> tuple[LabelledBatch | None, list[str]]:
        """The images that can be read, and what is wrong with the others."""
        side, found, problems = self.config.train.size, [], []
        for number in numbers:
            (record,) = slice_rows(self.manifest, number, number + 1, self.folder)
            try:
                found.append((record, resize(record.read_image(), side)))
            except DataError as error:
                problems.append(str(error))
        if not found:
            return None, problems
        points = [self._points_of(record.image_id) for record, _ in found]
        cells = [
            grid_position(xy, side, record.height, record.width)
            for (record, _), (xy, _) in zip(found, points, strict=True)
        ]
        batch = LabelledBatch(
            to_batch(np.stack([image for _, image in found]), self.device),
            [record.image_id for record, _ in found],
            np.repeat(np.arange(len(found)), [len(xy) for xy, _ in points]),
            np.concatenate([xy for xy, _ in points]),
            np.concatenate(cells),
            np.concatenate([labels for _, labels in points]),
        )
        return batch, problems

    def _points_of(self, image_id: str) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
        """Column and row, and label, of an image's points but those labelled unsure."""
        xy, labels = self.points.of(image_id)
        return xy[labels != UNSURE], labels[labels != UNSURE]
