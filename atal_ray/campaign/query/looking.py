"""The networks' part of the query of a shard: for ATAL attack (Eq. 1), ensemble (6), Diff (3).

Where the networks are on a GPU, a method that looks at the most uncertain pixels alone is brought these and
no others, but for the few images that the report shows.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from atal_ray import seeding
from atal_ray.acquisition.asking import Asking
from atal_ray.acquisition.crossing import bring_candidates
from atal_ray.acquisition.estimate import Estimate, estimate
from atal_ray.acquisition.grid import labels_on_grid
from atal_ray.acquisition.pick import PixelPool
from atal_ray.acquisition.predictions import Predictions, predict
from atal_ray.acquisition.seen import Seen
from atal_ray.campaign.campaign_folder import START, CampaignFolder
from atal_ray.campaign.gallery import dropout_chances
from atal_ray.campaign.query.load import LoadedShard
from atal_ray.campaign.snapshot_actor import SnapshotActor
from atal_ray.config import Config
from atal_ray.inference.prepared import Prepared
from atal_ray.networks.graphed import Graphed
from atal_ray.networks.inputs import to_batch


@dataclass(frozen=True)
class Scored:
    """One image whose points can be chosen."""

    image_id: str
    pool: PixelPool
    rng: np.random.Generator
    seen: Seen
    """What the members say, without scores; with them where only candidates were brought."""
    shown: Seen | None = None
    """The same with all its maps, where the report shows them and `seen` has those of candidates alone."""


class LookingActor(SnapshotActor):
    """An actor that holds the snapshots of a round and lets them look at the images of loaded shards.

    Args:
        campaign: the folder.
        config: the configuration.
        round_number: the round whose snapshots are read; START, where none is.
        shown: ids of the images that the report shows.
    """

    def __init__(
        self, campaign: CampaignFolder, config: Config, round_number: int, shown: Collection[str] = ()
    ) -> None:
        self.method = Asking.of(config.query)
        super().__init__(campaign, config, round_number, config.query.precision, self.method)
        self.shown = frozenset(shown)
        self.blind = round_number == START or not self.method.looks
        self.k = config.budget.asked_for(round_number + 1)
        self.most = config.query.ceiling if config.query.scope == "dataset" else self.k
        self.scoring = 0.0

    def batches(self, shard: LoadedShard) -> Iterator[list[Scored]]:
        """The images of a shard, looked at in fixed batches: a convolution's last bits differ with the size
        of a batch. On a GPU the next batch is under way while pixels of one are chosen.
        """
        size, images = self.config.query.batch_size, len(shard.image_id)
        batches = [range(start, min(start + size, images)) for start in range(0, images, size)]
        look = partial(self._look, shard)
        return map(look, batches) if self.blind else self.ahead(look, batches)

    def _look(self, shard: LoadedShard, batch: range) -> list[Scored]:
        """The images of a batch with what the members say of them."""
        started = perf_counter()
        pools = [self._pool(shard, index) for index in batch]
        ids = [str(shard.image_id[index]) for index in batch]
        rngs = [seeding.rng(self.config.seed, "query", self.round_number, image_id) for image_id in ids]
        if self.blind:
            nothing = Seen.nothing(self.config.train.size)
            return [Scored(*of, nothing) for of in zip(ids, pools, rngs, strict=True)]
        found = self._predict(shard, batch)
        brought = self._candidates(found, pools)
        found = found.cpu() if brought is None else found
        looked = []
        for position, (image_id, rng) in enumerate(zip(ids, rngs, strict=True)):
            if brought is None:
                seen = self._whole(shard, batch, found, position)
                looked.append(Scored(image_id, pools[position], rng, seen))
            else:
                shown = self._whole(shard, batch, found, position) if image_id in self.shown else None
                pool, seen = brought[position]
                looked.append(Scored(image_id, pool, rng, seen, shown))
        self.scoring += perf_counter() - started
        return looked

    def _pool(self, shard: LoadedShard, index: int) -> PixelPool:
        """The pixels of an image that may be asked for."""
        size = int(shard.height[index]), int(shard.width[index])
        pool = PixelPool(*size, shard.free[index], shard.superpixels[index], shard.points_of(index)[0])
        return pool if self.round_number == START else pool.within(self.config.query.margin, self.most)

    def _predict(self, shard: LoadedShard, batch: range) -> Predictions:
        images = to_batch(shard.images[batch.start : batch.stop], self.device)
        wants = self.method.wants
        given = wants.attacked and self.config.attack.labels == "points"
        labels, known = self._labels(shard, batch) if given else (None, None)
        chances = dropout_chances(self.config, self.round_number, [shard.image_id[i] for i in batch])
        attack = self.config.attack
        return predict(self.snapshots, images, wants, attack, labels, known, chances, self._recorded)

    @cached_property
    def _recorded(self) -> Graphed[Estimate[Tensor]] | None:
        """The estimate of a batch, which a GPU starts by one call; None where a member might wait for it."""
        snapshots, attack = self.snapshots, self.config.attack
        if not self.on_gpu or not all(isinstance(one, Prepared) and one.is_fixed for one in snapshots):
            return None

        def of(images: Tensor, labels: Tensor | None = None, known: Tensor | None = None) -> Estimate[Tensor]:
            return estimate(snapshots, images, attack, labels, known)

        return Graphed(of, "the estimate", repeatable=True)

    def _candidates(self, found: Predictions, pools: list[PixelPool]) -> list[tuple[PixelPool, Seen]] | None:
        """What leaves a GPU, where the method looks at no other pixels than the most uncertain ones."""
        if not self.on_gpu:
            return None
        looked_at = [self.method.candidates(pool.pixels, self.most) for pool in pools]
        counts = [count for count in looked_at if count is not None]
        scores = self.method.scored_batch(found) if len(counts) == len(pools) else None
        return None if scores is None else bring_candidates(found, scores, pools, counts)

    def _whole(self, shard: LoadedShard, batch: range, found: Predictions, position: int) -> Seen:
        """All that the method looks at in one image."""
        index = batch[position]
        given: dict[str, Any] = {"image": shard.images[index], "mask": shard.masks[index]}
        return replace(found.of(position), **{name: given[name] for name in self.method.sees})

    def _labels(self, shard: LoadedShard, batch: range) -> tuple[Tensor, Tensor]:
        """The labelled points of a batch on the grid: y and where it is known, both [B, 1, S, S]."""
        maps = [
            labels_on_grid(
                *shard.points_of(index),
                self.config.train.size,
                int(shard.height[index]),
                int(shard.width[index]),
            )
            for index in batch
        ]
        labels, known = torch.from_numpy(np.array(maps)[:, :, None]).to(self.device).unbind(1)
        return labels, known
