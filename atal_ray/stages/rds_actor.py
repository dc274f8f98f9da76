"""The actor that spends one budget on all images: it holds the covers of every image and runs RDS over them."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import ray
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from atal_ray import seeding
from atal_ray.campaign_folder import ERROR_SCHEMA
from atal_ray.config import Config
from atal_ray.errors import CampaignError
from atal_ray.files import Folder
from atal_ray.points import QUERY_SCHEMA
from atal_ray.sampling.allocation import Covers, allocate, place
from atal_ray.sampling.cover_lazy import cover_kcenter_lazy
from atal_ray.sampling.cover_scan import cover_maxsum_scan
from atal_ray.sampling.products import load_faiss
from atal_ray.sampling.similarity import least_similar
from atal_ray.stages.failure import plain_error
from atal_ray.stages.progress import leave, watch
from atal_ray.stages.query_covers import FEATURES, Matrix, matrix
from atal_ray.stages.room import gpus_per_actor, largest_node
from atal_ray.stages.shards import part_name


def choose_by_need(config: Config, round_number: int, parts: Folder, shards: int, images: int) -> None:
    """Let an actor choose `budget.per_round` points times the images out of the covers; leaves the picks of every shard.

    The points of an image that cannot be read go to the others. Fewer than wanted are chosen only where every image has its
    ceiling or no candidate left; errors.parquet of `shards`, the number behind the last shard, then says so.

    Args:
        config: the configuration.
        round_number: the round that asks.
        parts: folder with the covers of every shard.
        shards: how many there are.
        images: how many are in the manifest.

    Raises:
        CampaignError: no machine has the memory for all covers.
    """
    labels = config.resources.loading_nodes
    wanted_gpus = "auto" if searches(config) and config.resources.gpus != "none" else "none"  # it can do without one
    gpus = gpus_per_actor(wanted_gpus, labels)
    node, wanted = largest_node(gpus, labels), config.resources.query_actors * config.query.threads
    threads = max(1, int(min(wanted, node.get("CPU", 1))))  # of what the query's actors have just given back
    memory, there = memory_needed(parts, shards), int(node.get("memory", 0))
    if memory > there:
        raise CampaignError(
            f"RDS over all images takes {memory / 2**30:.1f} GiB in one process, and the largest machine gives Ray {there / 2**30:.1f}: "
            "start Ray on a machine with more memory (what is scored is kept), or lower query.cover-factor or query.ceiling"
        )
    options = {
        "num_cpus": threads,
        "num_gpus": gpus,
        "memory": memory,
        "label_selector": dict(labels) or None,
        "scheduling_strategy": "DEFAULT",  # not in the placement group of a sweep's trial, which has no CPUs
    }
    actor = ray.remote(RDSActor).options(**options).remote(config, round_number, threads, gpus > 0)
    try:
        with watch(parts, 2 * shards, f"round {round_number}: RDS over all images", "shard"):
            ray.get(actor.choose.remote(parts, shards, config.budget.per_round * images))
    except Exception as error:
        raise plain_error(error, f"RDS of round {round_number}") from error
    finally:
        ray.kill(actor)


def searches(config: Config) -> bool:
    """Whether a GPU helps: faiss searches the labelled points there; the mean cosine (Eq. 10) has a closed form, without a search."""
    return config.query.similarity == "nearest" and config.resources.index == "faiss"


def check_index(config: Config) -> None:
    """Raise ConfigError now, not after all images are scored, where faiss is to be used and is not there."""
    if config.resources.index == "faiss":
        load_faiss()


def memory_needed(parts: Folder, shards: int) -> int:
    """Bytes that the actor takes at most: every vector four times in float32, for the shortlist, the cover and the products."""
    vectors = sum(parts.count_rows(part_name(shard, kind)) for shard in range(shards) for kind in ("covers", "labelled"))
    channels = matrix(parts.read_table(part_name(0, "covers"), [FEATURES])[FEATURES]).shape[1]
    return vectors * (16 * channels + 100)


@dataclass(frozen=True)
class Union:
    """The covers of all shards in memory."""

    covers: Covers
    labelled: Matrix
    """Unit feature vectors of all labelled points [M, C]."""
    ends: NDArray[np.int64]
    """The row behind the last one of each shard."""


class RDSActor:
    """Holds the candidates of all images; see `memory_needed`."""

    def __init__(self, config: Config, round_number: int, threads: int, gpu: bool) -> None:
        self.config, self.round_number, self.threads, self.gpu = config, round_number, threads, gpu

    def choose(self, parts: Folder, shards: int, budget: int) -> None:
        """Read the covers of all shards, choose, and write the picks of each."""
        union = read_union(parts, shards)
        query, index = self.config.query, self.config.resources.index
        rng = seeding.rng(self.config.seed, "allocation", self.round_number)

        def dissimilar(features: Matrix, added: Matrix) -> NDArray[np.int64]:
            everything = np.concatenate([union.labelled, added])
            return least_similar(features, everything, len(features), query.similarity, index, self.gpu, self.threads)

        def cover(positions: Matrix, m: int) -> NDArray[np.int64]:
            if query.cover == "kcenter":
                return cover_kcenter_lazy(positions, m, threads=self.threads)
            return cover_maxsum_scan(positions, m, threads=self.threads, backend=index)

        tie = rng.random(len(union.covers.image), np.float32)
        with threadpool_limits(1, "blas"):  # of each product: the actor's own threads share out the blocks
            chosen = allocate(union.covers, budget, query, cover=cover, dissimilar=dissimilar, tie=tie)
        short = f"only {len(chosen)} of {budget} points asked: every image has its ceiling or no candidate left; raise query.ceiling"
        errors = [{"stage": "query", "image_id": "(all)", "reason": short}] if len(chosen) < budget else []
        parts.write_table(part_name(shards, "errors"), pa.Table.from_pylist(errors, ERROR_SCHEMA))
        write_picks(parts, union, chosen)


def read_union(parts: Folder, shards: int) -> Union:
    """Read what `CoverShard` left of every shard, but for the names of the images, which would be most of the memory."""
    counts = [parts.count_rows(part_name(shard, "covers")) for shard in range(shards)]
    ends = np.cumsum(counts, dtype=np.int64)
    total, images = int(ends[-1]), 0
    features: Matrix | None = None
    image, score, superpixel = np.empty(total, np.int32), np.empty(total, np.float32), np.empty(total, np.int32)
    labelled = []
    for shard, end in enumerate(ends):
        table, rows = parts.read_table(part_name(shard, "covers")), slice(end - counts[shard], end)
        vectors = matrix(table[FEATURES])
        if features is None:
            features = np.empty((total, vectors.shape[1]), np.float32)  # filled in place: never two copies of the whole
        names = table["image_id"].combine_chunks().dictionary_encode()  # numbered by appearance: ascending; none is in two shards
        features[rows], image[rows] = vectors, names.indices.to_numpy() + images
        score[rows], superpixel[rows] = table["score"].to_numpy(), table["superpixel"].to_numpy()
        images += len(names.dictionary)
        labelled.append(matrix(parts.read_table(part_name(shard, "labelled"))[FEATURES]))
        leave(parts, shard + 1)
    assert features is not None
    return Union(Covers(image, score, superpixel, features), np.concatenate(labelled), ends)


def write_picks(parts: Folder, union: Union, chosen: NDArray[np.int64]) -> None:
    """Write the chosen rows as the picks of their shards, numbered anew in each image."""
    orders = place(union.covers.image[chosen])
    field, starts = QUERY_SCHEMA.field("order"), np.r_[0, union.ends]
    shard_of = np.searchsorted(union.ends, chosen, side="right")  # ascending, as the images are
    bounds = np.searchsorted(shard_of, np.arange(len(starts)))
    for shard, (first, last) in enumerate(pairwise(bounds)):
        covers = parts.read_table(part_name(shard, "covers"), QUERY_SCHEMA.names)
        picks = covers.take(chosen[first:last] - starts[shard])
        picks = picks.set_column(picks.schema.get_field_index("order"), field, pa.array(orders[first:last], field.type))
        parts.write_table(part_name(shard, "picks"), picks.select(QUERY_SCHEMA.names).cast(QUERY_SCHEMA))
        leave(parts, len(union.ends) + shard + 1)
