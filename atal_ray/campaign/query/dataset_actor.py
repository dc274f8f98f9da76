"""The actor that spends one budget on all images: it runs RDS over the covers of every image."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from atal_ray import seeding
from atal_ray.acquisition.cover.distances import OnProgress
from atal_ray.acquisition.cover.kcenter import cover_kcenter_lazy
from atal_ray.acquisition.cover.maxsum import cover_maxsum_scan
from atal_ray.acquisition.cover.products import load_faiss
from atal_ray.acquisition.dataset_budget.allocation import allocate, index_in_image
from atal_ray.acquisition.dataset_budget.similarity import LabelledFeatures
from atal_ray.campaign.campaign_folder import ERROR_SCHEMA
from atal_ray.campaign.query.cover_files import CoverFiles
from atal_ray.config import Config
from atal_ray.errors import CampaignError
from atal_ray.runtime.capacity import gpus_per_actor, largest_node, this_machine
from atal_ray.runtime.progress import PROGRESS, Progress, watch
from atal_ray.runtime.shard_files import part_name
from atal_ray.runtime.single_actor import ActorNeeds, call_on_actor
from atal_ray.store.folder import Folder

Matrix = NDArray[np.float32]

NUMBERS = 160
"""Bytes of a candidate without its vector: image, score and superpixel, and what sorts them."""
VECTOR = 24
"""Bytes of each channel of a vector: float32 and float64 forms, for the shortlist, the cover and the
products, or to be searched.
"""


def choose_by_need(config: Config, round_number: int, parts: Folder, shards: int, images: int) -> None:
    """Let an actor choose `budget.per_round` points times the images out of the covers; leaves the picks of
    every shard.

    The points of an image that cannot be read go to the others. Fewer than wanted are chosen only where every
    image has its ceiling or no candidate left; errors.parquet of `shards`, the number behind the last shard,
    then says so.

    Args:
        config: the configuration.
        round_number: the round that asks.
        parts: folder with the covers of every shard.
        shards: how many there are.
        images: how many are in the manifest.

    Raises:
        CampaignError: no machine has the memory for all covers.
    """
    where, backend = config.resources, config.resources.backend
    labels = where.loading_nodes
    gpus = 0
    if backend != "inline" and searches(config) and where.gpus != "none":
        gpus = gpus_per_actor("auto", labels)  # it can do without one
    node = this_machine() if backend == "inline" else largest_node(gpus, labels)
    wanted = where.query_actors * config.query.threads
    threads = max(1, int(min(wanted, node.get("CPU", 1))))  # of what the query's actors have just given back
    files = CoverFiles(parts, shards)
    memory, there = memory_needed(files, config, images), int(node.get("memory", 0))
    if memory > there:
        raise CampaignError(
            f"RDS over all images takes {memory / 2**30:.1f} GiB in one process, and the largest machine "
            "gives "
            f"Ray {there / 2**30:.1f}: start Ray on a machine with more memory (what is scored is kept), or "
            "lower "
            "query.cover-factor, query.ceiling or query.cover-images, or use query.similarity mean"
        )
    actor = RDSActor(config, round_number, threads, gpus > 0)
    parts.remove(PROGRESS)  # of a run that was killed
    # A shard is read, covered and written: three steps.
    with watch(parts, 3 * shards, f"round {round_number}: RDS over all images", "step"):
        call_on_actor(
            actor.choose,
            files,
            config.budget.per_round * images,
            needs=ActorNeeds(threads, gpus, memory, labels),
            backend=backend,
            title=f"RDS of round {round_number}",
        )


def searches(config: Config) -> bool:
    """Whether a GPU helps: faiss searches the labelled points there; the mean cosine (Eq. 10) has a closed
    form, without a search.
    """
    return config.query.similarity == "nearest" and config.resources.index == "faiss"


def check_index(config: Config) -> None:
    """Raise ConfigError now, not after all images are scored, where faiss is to search or to multiply and is
    not there.
    """
    if searches(config) or (config.query.cover == "maxsum" and config.resources.index == "faiss"):
        load_faiss()


def memory_needed(files: CoverFiles, config: Config, images: int) -> int:
    """Bytes of arrays that the actor holds at most: the numbers of all candidates, and the vectors of the
    images covered together.

    The nearest labelled point is searched among all, and the floors are labelled points too.
    """
    query, vector = config.query, VECTOR * files.channels
    together = min(files.candidates, query.cover_images * query.ceiling * query.cover_factor)
    labelled = files.labelled_points + query.floor * images if query.similarity == "nearest" else 0
    return NUMBERS * files.candidates + (vector + 100) * together + vector * labelled


class RDSActor:
    """Runs RDS over the candidates of all images; see `memory_needed`."""

    def __init__(self, config: Config, round_number: int, threads: int, gpu: bool) -> None:
        self.config, self.round_number, self.threads, self.gpu = config, round_number, threads, gpu

    def choose(self, files: CoverFiles, budget: int) -> None:
        """Read the covers of all shards, choose, and write the picks of each."""
        query, index = self.config.query, self.config.resources.index
        rng = seeding.rng(self.config.seed, "allocation", self.round_number)
        progress = Progress(files.parts)
        labelled = LabelledFeatures(query.similarity, index, self.gpu, self.threads)
        for shard, features in enumerate(files.labelled_features()):
            labelled.add(features)
            progress.leave(shard)

        def cover(positions: Matrix, m: int, on_progress: OnProgress) -> NDArray[np.int64]:
            if query.cover == "kcenter":
                return cover_kcenter_lazy(positions, m, threads=self.threads, on_progress=on_progress)
            return cover_maxsum_scan(
                positions, m, threads=self.threads, backend=index, on_progress=on_progress
            )

        def covered(share: float) -> None:
            progress.leave(files.shards * (1 + share))

        covers = files.covers()
        tie = rng.random(len(covers.image), np.float32)
        with threadpool_limits(1, "blas"):  # of each product: the actor's own threads share out the blocks
            chosen = allocate(
                covers, budget, query, cover=cover, labelled=labelled, tie=tie, on_progress=covered
            )
        short = (
            f"only {len(chosen)} of {budget} points asked: every image has its ceiling or no candidate left; "
            "raise query.ceiling"
        )
        errors = [{"stage": "query", "image_id": "(all)", "reason": short}] if len(chosen) < budget else []
        files.parts.write_table(part_name(files.shards, "errors"), pa.Table.from_pylist(errors, ERROR_SCHEMA))
        for shard in files.write_picks(chosen, index_in_image(covers.image[chosen])):
            progress.leave(2 * files.shards + shard)
