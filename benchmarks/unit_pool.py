"""Units of work of a benchmark that run side by side, each as soon as what it needs is done."""

import contextlib
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from typing import Any, TypeVar
from unittest.mock import patch

import torch

from atal_ray.training import step

Unit = TypeVar("Unit", bound=Hashable)


def run_units(
    units: Mapping[Unit, Unit | None], run: Callable[..., float], options: Any, processes: int
) -> None:
    """Run units in the order in which they are listed, some at once, and print the seconds that each took.

    Args:
        units: each with the one that it waits for, which is among them.
        run: of the options and a unit; picklable.
        options: of the benchmark.
        processes: how many run at once, each in a fresh process.
    """
    waiting, done = dict(units), set[Unit]()
    with ProcessPoolExecutor(processes, get_context("spawn"), max_tasks_per_child=1) as pool:
        running: dict[Future[float], Unit] = {}
        while waiting or running:
            ready = [unit for unit, needed in waiting.items() if needed is None or needed in done]
            for unit in ready[: processes - len(running)]:
                running[pool.submit(run, options, unit)] = unit
                del waiting[unit]
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                unit = running.pop(future)
                done.add(unit)
                print(f"{unit}: {future.result():.0f} s", flush=True)


def half(wanted: bool) -> contextlib.AbstractContextManager[Any]:
    """Let networks train in bfloat16 on the CPU too."""
    if not wanted:
        return contextlib.nullcontext()
    return patch.object(step, "autocast", lambda *_: torch.autocast("cpu", torch.bfloat16))
