"""Stage: snapshots and labelled points -> what the parts of a method learn of them, before a query.

One actor does it, for most need one pass over the images or a few of them.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from atal_ray import seeding
from atal_ray.acquisition.asking import Asking
from atal_ray.acquisition.fitted import LabelledBatch
from atal_ray.acquisition.grid import grid_position
from atal_ray.acquisition.trained import build_member
from atal_ray.campaign.campaign_folder import MANIFEST, CampaignFolder
from atal_ray.campaign.query.fitted_file import FITTED, write_fitted
from atal_ray.config import Config
from atal_ray.data.images import resize
from atal_ray.data.record import Record, records
from atal_ray.errors import DataError
from atal_ray.labels.points import UNSURE, PointIndex
from atal_ray.networks.inputs import choose_device, to_batch
from atal_ray.networks.protocol import SaliencyNetwork
from atal_ray.networks.snapshot_reader import read_snapshots
from atal_ray.runtime.capacity import gpus_per_actor
from atal_ray.runtime.many_actors import call_on_actor
from atal_ray.runtime.own_threads import own_threads
from atal_ray.runtime.progress import Progress, watch
from atal_ray.runtime.single_actor import ActorNeeds
from atal_ray.store.folder import Folder

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
    needs = ActorNeeds(config.query.threads, gpus, 0, where.scoring_nodes)
    title = f"round {round_number}: fit of {config.query.method}"
    with watch(out / PARTS, campaign.root.count_rows(MANIFEST), title, "image"):
        call_on_actor(
            fit_here, campaign, config, round_number, out, needs=needs, backend=where.backend, title=title
        )
    (out / PARTS).delete()


def fit_here(campaign: CampaignFolder, config: Config, round_number: int, out: Folder) -> None:
    """The same in this process."""
    with own_threads():
        torch.set_num_threads(config.query.threads)
        asking, progress = Asking.of(config.query), Progress(out / PARTS)
        write_fitted(out, asking.fit(TrainedRound.of(campaign, config, round_number, progress)))


@dataclass
class TrainedRound:
    """The images and points of a round with its networks; see `acquisition.fitted.RoundData`."""

    campaign: CampaignFolder
    config: Config
    round_number: int
    networks: list[SaliencyNetwork]
    device: torch.device
    images: int
    seed: int
    campaign_seed: int
    progress: Progress

    @classmethod
    def of(
        cls, campaign: CampaignFolder, config: Config, round_number: int, progress: Progress
    ) -> "TrainedRound":
        """Read the networks of a round."""
        asking, device = Asking.of(config.query), choose_device(config.resources.gpus)
        numbers = [*asking.speaking([*range(1, config.train.cycles + 1)])]
        build = partial(build_member, config, load_weights=False)
        read = read_snapshots(campaign.snapshots(round_number), config, device, numbers, build)
        images = campaign.root.count_rows(MANIFEST)
        seed = seeding.derive(config.seed, "fit", round_number)
        return cls(campaign, config, round_number, read, device, images, seed, config.seed, progress)

    def batches(self, numbers: Collection[int] | None = None, size: int = 0) -> Iterator[LabelledBatch]:
        """The images of these numbers in this order, so many or `query.batch_size` at a time."""
        order = np.arange(self.images) if numbers is None else np.array(list(numbers), np.int64)
        size = size or self.config.query.batch_size
        for start in range(0, len(order), size):
            batch = self._batch(order[start : start + size])
            if batch is not None:
                yield batch
            self.progress.leave(self.images * min(1, (start + size) / len(order)))

    def _batch(self, numbers: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> LabelledBatch | None:
        side, found = self.config.train.size, []
        for number in numbers:
            rows = self.campaign.root.read_rows(MANIFEST, int(number), int(number) + 1)
            (record,) = records(rows, self.campaign.training_data(self.config))
            try:
                found.append((record, resize(record.read_image(), side)))
            except DataError:  # the query names it
                continue
        if not found:
            return None
        points = [self._points(record) for record, _ in found]
        cells = [
            grid_position(xy, side, record.height, record.width)
            for (record, _), (xy, _) in zip(found, points, strict=True)
        ]
        return LabelledBatch(
            to_batch(np.stack([image for _, image in found]), self.device),
            [record.image_id for record, _ in found],
            np.repeat(np.arange(len(found)), [len(xy) for xy, _ in points]),
            np.concatenate([xy for xy, _ in points]),
            np.concatenate(cells),
            np.concatenate([labels for _, labels in points]),
        )

    def _points(
        self, record: Record
    ) -> tuple[
        "np.ndarray[tuple[int, int], np.dtype[np.int32]]", "np.ndarray[tuple[int], np.dtype[np.uint8]]"
    ]:
        table = self.campaign.points(self.round_number, record.image_id, record.image_id)
        xy, labels = PointIndex(table).of(record.image_id)
        return xy[labels != UNSURE], labels[labels != UNSURE]
