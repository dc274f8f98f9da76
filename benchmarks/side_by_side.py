"""How the benchmarks of RDS measure: forms take turns in a process whose NumPy has one thread."""

import os
import statistics
import time
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, TypeVar

Result = TypeVar("Result")

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def with_one_thread(work: Callable[..., Result], *arguments: Any) -> Result:
    """What the work returns, in a process of its own whose products have one thread."""
    os.environ.update(ONE_THREAD)  # for the process to come, which reads it only once
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def turns(forms: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, Any]:
    """Seconds of each form, which take turns; their medians, for ratios see `paired_ratio`."""
    seconds: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(repeats):
        for name, form in forms.items():
            start = time.perf_counter()
            form()
            seconds[name].append(time.perf_counter() - start)
    return {
        "median_s": {name: statistics.median(values) for name, values in seconds.items()},
        "repeats_s": seconds,
    }


def paired_ratio(values: Mapping[str, Sequence[float]], form: str, other: str, scale: float = 1) -> float:
    """The ratio of two forms: the median over their turns, each divided by its pair.

    Within a turn both meet the same machine, which the medians of each form alone do not.

    Args:
        values: seconds (`repeats_s` of `turns`) or rates of each form, turn by turn.
        form: whose values are divided.
        other: by whose.
        scale: of the form's values, where it did only 1 / scale of the work.
    """
    return statistics.median(scale * a / b for a, b in zip(values[form], values[other], strict=True))


def peak_mib(work: Callable[[], object]) -> float:
    """Peak of the memory that the work allocates beyond what is there."""
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20
