"""Work on a large matrix block by block, several blocks at a time."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")

TASK = 8  # blocks that a thread takes at once: handing out a task costs as much as a small block


def over_blocks(work: Callable[[int, int], Result], count: int, rows: int, threads: int = 1) -> list[Result]:
    """The results of `work(first, last)` for every block of `rows` rows, in the order of the blocks.

    NumPy releases the global interpreter lock inside its loops, so threads help. The blocks do not depend on
    the number of threads.

    Args:
        work: takes the first row of a block and the row after its last.
        count: rows of the matrix.
        rows: rows of a block; the last one may be shorter.
        threads: blocks at a time.
    """
    blocks = [(first, min(first + rows, count)) for first in range(0, count, rows)]
    tasks = [blocks[i : i + TASK] for i in range(0, len(blocks), TASK)]

    def run(task: list[tuple[int, int]]) -> list[Result]:
        return [work(first, last) for first, last in task]

    if threads == 1 or len(tasks) <= 1:
        return run(blocks)
    with ThreadPoolExecutor(threads) as pool:
        return [result for results in pool.map(run, tasks) for result in results]
