"""The actor that spends one budget on all images: it holds the covers of every image and runs RDS over them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import ray
from numpy.typing import NDArray

from atal_ray import seeding
from atal_ray.campaign_folder import ERROR_SCHEMA
from atal_ray.config import Config
from atal_ray.files import Folder
from atal_ray.points import QUERY_SCHEMA, concat
from atal_ray.sampling.allocation import Covers, allocate, place
from atal_ray.sampling.cover_lazy import cover_kcenter_lazy
from atal_ray.sampling.cover_scan import cover_maxsum_scan
from atal_ray.sampling.similarity import similarity
from atal_ray.stages.failure import plain_error
from atal_ray.stages.progress import leave, watch
from atal_ray.stages.query_covers import FEATURES, Matrix, matrix
from atal_ray.stages.ray_session import gpus_per_actor
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
    """
    threads = config.resources.query_actors * config.query.threads  # what the query's actors have just given back
    gpus = gpus_per_actor(config.resources.gpus) if config.resources.index == "faiss" else 0
    actor = ray.remote(RDSActor).options(num_cpus=threads, num_gpus=gpus).remote(config, round_number, threads, gpus > 0)
    try:
        with watch(parts, 2 * shards, f"round {round_number}: RDS over all images", "shard"):
            ray.get(actor.choose.remote(parts, shards, config.budget.per_round * images))
    except Exception as error:
        raise plain_error(error, f"RDS of round {round_number}") from error
    finally:
        ray.kill(actor)


@dataclass(frozen=True)
class Union:
    """The covers of all shards in memory."""

    questions: pa.Table
    """Rows of QUERY_SCHEMA [N]."""
    covers: Covers
    labelled: Matrix
    """Unit feature vectors of all labelled points [M, C]."""
    ends: NDArray[np.int64]
    """The row behind the last one of each shard."""


class RDSActor:
    """Holds the candidates of all images, 4 C + about 60 bytes each."""

    def __init__(self, config: Config, round_number: int, threads: int, gpu: bool) -> None:
        self.config, self.round_number, self.threads, self.gpu = config, round_number, threads, gpu

    def choose(self, parts: Folder, shards: int, budget: int) -> None:
        """Read the covers of all shards, choose, and write the picks of each."""
        union = read_union(parts, shards)
        query, rng = self.config.query, seeding.rng(self.config.seed, "allocation", self.round_number)

        def phi(features: Matrix, added: Matrix) -> NDArray[np.floating[Any]]:
            everything = np.concatenate([union.labelled, added])
            return similarity(features, everything, query.similarity, self.config.resources.index, self.gpu, self.threads)

        def cover(positions: Matrix, m: int) -> NDArray[np.int64]:
            chosen = cover_kcenter_lazy if query.cover == "kcenter" else cover_maxsum_scan
            return chosen(positions, m, threads=self.threads)

        chosen = allocate(
            union.covers,
            budget,
            query,
            cover=cover,
            similarity_to=phi,
            tie=rng.random(len(union.covers.image), np.float32),
        )
        short = f"only {len(chosen)} of {budget} points asked: every image has its ceiling or no candidate left; raise query.ceiling"
        errors = [{"stage": "query", "image_id": "(all)", "reason": short}] if len(chosen) < budget else []
        parts.write_table(part_name(shards, "errors"), pa.Table.from_pylist(errors, ERROR_SCHEMA))
        write_picks(parts, union, chosen)


def read_union(parts: Folder, shards: int) -> Union:
    """Read what `CoverShard` left of every shard."""
    counts = [parts.count_rows(part_name(shard, "covers")) for shard in range(shards)]
    ends = np.cumsum(counts, dtype=np.int64)
    features: Matrix | None = None
    questions, labelled = [], []
    for shard, end in enumerate(ends):
        table = parts.read_table(part_name(shard, "covers"))
        vectors = matrix(table[FEATURES])
        if features is None:
            features = np.empty((int(ends[-1]), vectors.shape[1]), np.float32)  # filled in place: never two copies of the whole
        features[end - counts[shard] : end] = vectors
        questions.append(table.select(QUERY_SCHEMA.names).cast(QUERY_SCHEMA))
        labelled.append(matrix(parts.read_table(part_name(shard, "labelled"))[FEATURES]))
        leave(parts, shard + 1)
    assert features is not None
    asked = concat(questions, QUERY_SCHEMA)
    images = asked["image_id"].combine_chunks().dictionary_encode().indices.to_numpy()  # numbered by appearance: ascending
    covers = Covers(images, asked["score"].to_numpy(), asked["superpixel"].to_numpy(), features)
    return Union(asked, covers, np.concatenate(labelled), ends)


def write_picks(parts: Folder, union: Union, chosen: NDArray[np.int64]) -> None:
    """Write the chosen rows as the picks of their shards, numbered anew in each image."""
    order = pa.array(place(union.covers.image[chosen]), pa.int16())
    column = QUERY_SCHEMA.get_field_index("order")
    picks = union.questions.take(chosen).set_column(column, QUERY_SCHEMA.field(column), order)
    shard_of = np.searchsorted(union.ends, chosen, side="right")  # ascending, as the images are
    for shard in range(len(union.ends)):
        first, last = np.searchsorted(shard_of, [shard, shard + 1])
        parts.write_table(part_name(shard, "picks"), picks.slice(first, last - first).combine_chunks())
        leave(parts, len(union.ends) + shard + 1)
