"""One budget spent on all images, step by step: each step leaves files, and what is there is not done again.

    plan      the numbers of all candidates -> the rows of every part
    label     a part of the floors and of the shards -> sums of labelled features
    cover     a part of the shortlist -> its cover, each member with phi (Eq. 10)
    take      all of these -> the picks of every shard

A part of `label` or `cover` may be done in any process; `plan` and `take` hold numbers of all candidates.
"""

import logging
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from atal_ray import seeding
from atal_ray.acquisition.cover.distances import OnProgress, ignore_progress
from atal_ray.acquisition.cover.kcenter import cover_kcenter_lazy
from atal_ray.acquisition.cover.maxsum import cover_maxsum_scan
from atal_ray.acquisition.dataset_budget.allocation import Covers, Plan, finish, index_in_image, plan
from atal_ray.acquisition.dataset_budget.similarity import LabelledFeatures, sum_of_units
from atal_ray.campaign.campaign_folder import ERROR_SCHEMA
from atal_ray.campaign.query.cover_files import CoverFiles, Indices, Matrix
from atal_ray.campaign.query.covers import FEATURES, matrix, vectors
from atal_ray.config import Config
from atal_ray.errors import counted, short_reason
from atal_ray.runtime.progress import Progress
from atal_ray.runtime.shard_files import part_name

logger = logging.getLogger(__name__)

PLAN = "plan.json"
FLOORS, SHORTLIST = "floor-rows", "shortlist-rows"
"""Kinds of files of `plan`: rows of the covers."""
SUMS, VECTORS = "sums", "floor-vectors"
"""Kinds of files of `label`: a row for each shard and for the floors; the floors, where all are searched."""
MEMBERS = "members"
"""Kind of file of `cover`: number in the part, and phi."""


class BudgetSteps:
    """The steps for one query.

    Args:
        config: the configuration.
        round_number: the round that asks.
        files: the covers of all shards.
        budget: points for all images together.
        threads: of this process.
        gpu: let the cover run, and faiss search, on a GPU where there is one.
    """

    def __init__(
        self, config: Config, round_number: int, files: CoverFiles, budget: int, threads: int, gpu: bool
    ) -> None:
        self.config, self.files, self.parts = config, files, files.parts
        self.round_number, self.budget, self.threads, self.gpu = round_number, budget, threads, gpu

    @cached_property
    def _covers(self) -> Covers:
        return self.files.covers()

    @cached_property
    def _plan(self) -> Plan:
        rng = seeding.rng(self.config.seed, "allocation", self.round_number)
        tie = rng.random(len(self._covers.image), np.float32)
        return plan(self._covers, self.budget, self.config.query, tie)

    def plan(self) -> None:
        """Write the rows of every part and, last, plan.json."""
        if self.parts.exists(PLAN):
            return
        made = self._plan
        for number, part in enumerate(made.floors):
            self._write_rows(number, FLOORS, made.first[part])
        for number, (part, _) in enumerate(made.shortlist):
            self._write_rows(number, SHORTLIST, made.others[part])
        shares = [share for _, share in made.shortlist]
        self.parts.write_json(PLAN, {"floors": len(made.floors), "shares": shares})

    def labels(self) -> int:
        """Parts of `label`, at least one."""
        return max(1, int(self.parts.read_json(PLAN)["floors"]))

    def shares(self) -> list[int]:
        """Members of the cover of each part of `cover`."""
        return [int(share) for share in self.parts.read_json(PLAN)["shares"]]

    def label(self, number: int) -> None:
        """Sum up the labelled points of a part of the shards, and the floors of a part of the images."""
        if self.parts.exists(part_name(number, SUMS)):
            return
        first, last = (self.files.shards * n // self.labels() for n in (number, number + 1))
        sums = [_sum(features) for features in self.files.labelled_features(first, last)]
        if number < int(self.parts.read_json(PLAN)["floors"]):
            floors = self.files.features(self._read_rows(number, FLOORS))
            sums.append(_sum(floors))
            if self._searches_all:
                floor_table = pa.table({FEATURES: vectors([floors], self.files.channels)})
                self.parts.write_table(part_name(number, VECTORS), floor_table)
        else:
            sums.append(_sum(np.empty((0, self.files.channels), np.float32)))
        self.parts.write_table(part_name(number, SUMS), _table_of(sums, self.files.channels))

    def cover(self, number: int, on_progress: OnProgress = ignore_progress) -> None:
        """Cover a part of the shortlist, and write the members with their phi."""
        if self.parts.exists(part_name(number, MEMBERS)):
            return
        features = self.files.features(self._read_rows(number, SHORTLIST))
        with threadpool_limits(1, "blas"):  # of each product: our own threads share out the blocks
            chosen = self._choose(features, self.shares()[number], on_progress)
            phi = self._labelled.similarity(features[chosen])
        self.parts.write_table(part_name(number, MEMBERS), pa.table({"member": chosen, "phi": phi}))

    def take(self) -> None:
        """Choose by phi, and write the picks of every shard."""
        for _ in self._take():
            pass

    def all_steps(self) -> None:
        """Every step in this process; progress is left beside the files: three steps a shard."""
        progress, shards, done = Progress(self.parts), self.files.shards, 0
        self.plan()
        for number in range(self.labels()):
            self.label(number)
            progress.leave(shards * (number + 1) / self.labels())
        shares = self.shares()

        def covered(chosen: float) -> None:
            progress.leave(shards * (1 + (done + chosen) / sum(shares)))

        for number, share in enumerate(shares):
            self.cover(number, covered)
            done += share
        for shard in self._take():
            progress.leave(2 * shards + shard)

    def _take(self) -> Iterator[int]:
        """The step `take`; yields how many shards are done."""
        made = self._plan
        phi = np.full(len(made.others), np.inf)  # what is not in the cover comes last
        for number, (part, _) in enumerate(made.shortlist):
            members = self.parts.read_table(part_name(number, MEMBERS))
            phi[part[members["member"].to_numpy()]] = members["phi"].to_numpy()
        chosen = finish(self._covers, made, phi, self.budget, self.config.query)
        short = (
            f"only {len(chosen):,} of {counted(self.budget, 'point')} asked: every image has its ceiling or "
            "no candidate left; raise query.ceiling"
        )
        few = len(chosen) < self.budget
        errors = [{"stage": "query", "image_id": "(all)", "reason": short}] if few else []
        table = pa.Table.from_pylist(errors, ERROR_SCHEMA)
        self.parts.write_table(part_name(self.files.shards, "errors"), table)
        return self.files.write_picks(chosen, index_in_image(self._covers.image[chosen]))

    @property
    def _searches_all(self) -> bool:
        """Whether phi takes all labelled vectors, not only their sum."""
        return self.config.query.similarity == "nearest"

    @cached_property
    def _labelled(self) -> LabelledFeatures:
        """The labelled points in the order of the shards, then the floors."""
        query, index = self.config.query, self.config.resources.index
        found = LabelledFeatures(query.similarity, index, self.gpu, self.threads)
        numbers = range(self.labels())
        if self._searches_all:
            for features in self.files.labelled_features():
                found.add(features)
            for number in numbers:
                if self.parts.exists(part_name(number, VECTORS)):
                    found.add(matrix(self.parts.read_table(part_name(number, VECTORS))[FEATURES]))
            return found
        tables = [self.parts.read_table(part_name(number, SUMS)).to_pylist() for number in numbers]
        for row in [*(row for rows in tables for row in rows[:-1]), *(rows[-1] for rows in tables)]:
            if row["count"]:
                found.add_sum(np.array(row["sum"], np.float64), row["count"])
        return found

    def _choose(self, positions: Matrix, m: int, on_progress: OnProgress) -> Indices:
        if self.config.query.cover == "kcenter":
            on_gpu = self._choose_on_gpu(positions, m, on_progress) if self.gpu else None
            if on_gpu is not None:
                return on_gpu
            return cover_kcenter_lazy(positions, m, threads=self.threads, on_progress=on_progress)
        index = self.config.resources.index
        return cover_maxsum_scan(positions, m, threads=self.threads, backend=index, on_progress=on_progress)

    def _choose_on_gpu(self, positions: Matrix, m: int, on_progress: OnProgress) -> Indices | None:
        """The same cover by a GPU; None, with a warning where there is one, if it cannot do it."""
        import torch  # takes two seconds to load

        from atal_ray.acquisition.cover import device_kcenter

        if not torch.cuda.is_available():
            return None
        why = "it has no room"
        try:
            if device_kcenter.fits_on_gpu(*positions.shape):
                return device_kcenter.cover_kcenter_on_device(positions, m, on_progress=on_progress)
        except RuntimeError as error:  # another process took the memory meanwhile, or CUDA cannot start
            why = short_reason(error)
        else:
            torch.cuda.empty_cache()  # faiss searches there next
        logger.warning("the GPU cannot cover %s candidates (%s): the CPU does", f"{len(positions):,}", why)
        return None

    def _write_rows(self, number: int, kind: str, rows: Indices) -> None:
        self.parts.write_table(part_name(number, kind), pa.table({"row": rows}))

    def _read_rows(self, number: int, kind: str) -> Indices:
        rows: Indices = self.parts.read_table(part_name(number, kind))["row"].to_numpy()
        return rows


def _sum(features: Matrix) -> tuple[int, NDArray[np.float64]]:
    """How many labelled points there are, and the sum of their unit vectors."""
    if not len(features):
        return 0, np.zeros(features.shape[1])
    return len(features), sum_of_units(features)


def _table_of(sums: list[tuple[int, NDArray[np.float64]]], channels: int) -> pa.Table:
    values = pa.array(np.concatenate([total for _, total in sums]))
    columns: dict[str, Any] = {"count": pa.array([count for count, _ in sums], pa.int64())}
    return pa.table(columns | {"sum": pa.FixedSizeListArray.from_arrays(values, channels)})
