"""One budget for all images: RDS over all covers, in one process or part by part in several."""

from collections.abc import Callable
from functools import partial

from atal_ray.acquisition.cover.products import load_faiss
from atal_ray.campaign.query.budget_steps import BudgetSteps
from atal_ray.campaign.query.cover_files import CoverFiles
from atal_ray.config import Config
from atal_ray.errors import CampaignError
from atal_ray.runtime.capacity import Machine, Place, machines_with, share_out, this_machine
from atal_ray.runtime.many_actors import call_on_actors
from atal_ray.runtime.progress import PROGRESS, watch
from atal_ray.runtime.progress_bar import progress_bar
from atal_ray.store.folder import Folder

NUMBERS = 160
"""Bytes of a candidate without its vector: image, score and superpixel, and what sorts them."""
VECTOR = 24
"""Bytes of each channel of a vector: float32 and float64 forms, for the shortlist, the cover and the
products, or to be searched.
"""


def choose_by_need(config: Config, round_number: int, parts: Folder, shards: int, images: int) -> None:
    """Choose `budget.per_round` points times the images out of the covers; leaves the picks of every shard.

    Images that are covered together are the work of one actor. More of them are covered in parts, on as many
    machines as have room. Each step leaves files, so a restart goes on within the work.

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
        CampaignError: no machine has the memory for the numbers of all candidates, or for the vectors of one
            part.
    """
    files, budget = CoverFiles(parts, shards), config.budget.asked_for(round_number + 1) * images
    spend = Spending(config, f"round {round_number}: RDS over all images")
    parts.remove(PROGRESS)  # of a run that was killed

    def steps(threads: int, gpu: bool) -> BudgetSteps:
        return BudgetSteps(config, round_number, files, budget, threads, gpu)

    if spend.is_inline or images <= config.query.cover_images:
        # A shard is read, covered and written: three steps.
        with watch(parts, 3 * shards, spend.title, "step"):
            memory = memory_needed(files, config, images)
            spend.run(lambda *of: [steps(*of).all_steps], memory, gpu_helps(config))
        return
    numbers, vectors = numbers_memory(files), part_memory(files, config, images)
    spend.run(lambda *of: [steps(*of).plan], numbers)
    plan = steps(1, False)
    spend.run(lambda *of: [partial(steps(*of).label, part) for part in range(plan.labels())], vectors)
    spend.run(
        lambda *of: [partial(steps(*of).cover, part) for part in range(len(plan.shares()))],
        vectors,
        gpu_helps(config),
    )
    with watch(parts, shards, f"{spend.title}, picks", "shard"):
        spend.run(lambda *of: [steps(*of).take], numbers)


GPU_WORTH = 4
"""How many actors without a GPU one with a GPU is taken for, a guess: what it does there was not measured."""


class Spending:
    """Runs calls on as many actors as have room for them at once.

    Args:
        config: the configuration.
        title: of what is done.
    """

    def __init__(self, config: Config, title: str) -> None:
        self.config, self.title = config, title
        self.is_inline = config.resources.backend == "inline"

    def run(
        self, calls: Callable[[int, bool], list[Callable[[], None]]], memory: int, gpu: bool = False
    ) -> None:
        """Make calls.

        Args:
            calls: makes them, given the threads of each and whether each has a GPU.
            memory: bytes of each.
            gpu: whether a GPU helps.
        """
        where = self.config.resources
        wanted = gpu and where.gpus != "none"
        with_gpu = machines_with(where.loading_nodes, 1) if wanted and not self.is_inline else []
        with_gpu = [one for one in with_gpu if one.get("memory", 0) >= memory and one.get("CPU", 0) >= 1]
        machines = [this_machine()] if self.is_inline else machines_with(where.loading_nodes)
        self._require_memory(memory, machines)
        count = len(calls(1, False))
        cpus = where.query_actors * self.config.query.threads  # which the query's actors have just given back
        at_once, threads = share_out(cpus, count, memory, 0, machines)
        most = min(count, where.query_actors)  # of GPUs: what a campaign takes and a cluster is counted for
        on_gpus = share_out(cpus, most, memory, 1, with_gpu) if with_gpu else (0, 0)
        gpus = int(GPU_WORTH * on_gpus[0] >= at_once)  # it can do without one
        at_once, threads = on_gpus if gpus else (at_once, threads)
        place = Place(threads, gpus, where.loading_nodes, memory)
        title, many = self.title, count > 1
        with progress_bar(count, title, "part", shown=many) as bar:
            for _ in call_on_actors(
                calls(threads, wanted if self.is_inline else gpus > 0),
                at_once,
                place=place,
                backend=where.backend,
                title=title,
            ):
                bar.update(1)

    def _require_memory(self, memory: int, machines: list[Machine]) -> None:
        there = int(max((machine.get("memory", 0) for machine in machines), default=0))
        if memory > there:
            raise CampaignError(
                f"RDS over all images takes {memory / 2**30:.1f} GiB in one process, and the largest machine "
                f"gives Ray {there / 2**30:.1f}: start Ray on a machine with more memory (what is scored is "
                "kept), or start another campaign with a lower query.cover-factor, query.ceiling or "
                "query.cover-images, or with query.similarity mean"
            )


def gpu_helps(config: Config) -> bool:
    """Whether the cover runs on a GPU, or faiss searches there."""
    return config.query.cover == "kcenter" or searches(config)


def searches(config: Config) -> bool:
    """Whether faiss searches the labelled points; the mean cosine (Eq. 10) has a closed form, without a
    search.
    """
    return config.query.similarity == "nearest" and config.resources.index == "faiss"


def check_index(config: Config) -> None:
    """Raise ConfigError now, not after all images are scored, where faiss is to search or to multiply and is
    not there.
    """
    if searches(config) or (config.query.cover == "maxsum" and config.resources.index == "faiss"):
        load_faiss()


def memory_needed(files: CoverFiles, config: Config, images: int) -> int:
    """Bytes of arrays that one process holds at most where it does all steps."""
    return numbers_memory(files) + part_memory(files, config, images)


def numbers_memory(files: CoverFiles) -> int:
    """Bytes of the numbers of all candidates."""
    return NUMBERS * files.candidates


def part_memory(files: CoverFiles, config: Config, images: int) -> int:
    """Bytes of the vectors of the images that are covered together.

    The nearest labelled point is searched among all, and the floors are labelled points too.
    """
    query, vector = config.query, VECTOR * files.channels
    together = min(files.candidates, query.cover_images * query.ceiling * query.cover_factor)
    labelled = files.labelled_points + query.floor * images if query.similarity == "nearest" else 0
    return (vector + 100) * together + vector * labelled
