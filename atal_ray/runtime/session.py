"""One Ray for a campaign: the cluster that is there, or a local one with capacity for every nested job; none
inline.
"""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from atal_ray.config import Config
from atal_ray.errors import CampaignError
from atal_ray.runtime.capacity import cores, cpus_wanted
from atal_ray.runtime.harmless_lines import harmless_lines_hidden
from atal_ray.runtime.ray_logs import own_logs
from atal_ray.runtime.stop import handlers_kept


@contextmanager
def campaign_session(config: Config) -> Iterator[None]:
    """The Ray of a campaign, with capacity for its stages; see `session`. Inline campaigns take none.

    Raises:
        CampaignError: the cluster is too small; see `require_capacity`.
    """
    if config.resources.backend == "inline":
        yield
        return
    import ray

    from atal_ray.runtime.autoscaling import waited_for_capacity

    outermost = not ray.is_initialized()
    with (
        session("ray", cpus_wanted(config), config.resources.object_store_mib),
        waited_for_capacity(config, ask=outermost),
    ):
        yield


@contextmanager
def session(backend: str, cpus: int, object_store_mib: int) -> Iterator[None]:
    """Use the Ray of this process or of RAY_ADDRESS, or start a local one for the time of the block; nothing
    if inline.

    Args:
        backend: ray or inline.
        cpus: logical CPUs of a local Ray, at least.
        object_store_mib: its object store.
    """
    if backend == "inline":
        yield
        return
    import ray

    if ray.is_initialized():
        yield
        return
    with harmless_lines_hidden():
        try:
            with handlers_kept():
                folder = _start(cpus, object_store_mib)
        except Exception as error:  # Ray has no narrower class for a start that takes too long
            where = os.environ.get("RAY_ADDRESS")
            what = f"no Ray answers at {where}, which RAY_ADDRESS names" if where else "Ray did not start"
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise CampaignError(
                f"{what}: {reason} Run the same command again when the machine is less busy, or without Ray "
                "(--resources.backend inline; of atal evaluate and atal predict: --backend inline)"
            ) from error
        with own_logs(folder) if folder else nullcontext():
            try:
                yield
            finally:
                with handlers_kept():
                    end_pipelines()
                    ray.shutdown()


def job_folder() -> Path:
    """A folder of this machine for what the workers of this command share; it lies in Ray's own folder, and
    goes with it. It need not be there yet.
    """
    import ray

    node = ray._private.worker.global_worker.node
    return Path(node.get_session_dir_path(), f"atal-{ray.get_runtime_context().get_job_id()}")


def end_pipelines() -> None:
    """End what Ray Data still runs, as after Ctrl-C: a thread of it that called Ray after its shutdown would
    end this process with status 1, without a word.
    """
    executing = sys.modules.get("ray.data._internal.execution.streaming_executor")
    for thread in threading.enumerate():
        if executing is not None and isinstance(thread, executing.StreamingExecutor):
            with suppress(Exception):  # Ray is on its way out
                thread.shutdown(force=True)


def _start(cpus: int, object_store_mib: int) -> str:
    """Connect to a Ray, or start one; the folder of one that was started."""
    import ray

    if os.environ.get("RAY_ADDRESS"):
        ray.init(logging_level="warning")
        return ""
    context = ray.init(
        address="local",
        num_cpus=max(cpus, cores()),
        object_store_memory=object_store_mib * 2**20,
        include_dashboard=False,
        # the stages show progress and errors; the workers' logs stay in Ray's folder
        log_to_driver=False,
        logging_level="warning",
    )
    return str(context.address_info["session_dir"])
