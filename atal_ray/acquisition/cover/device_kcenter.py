"""Greedy k-center by flat passes on a GPU, with exactly the members that `rds.cover_kcenter` chooses.

A pick reads every candidate once, as one product of the matrix with the last member, which a GPU does at the
rate of its memory. Distances are float64 products with a bound of their error; the few candidates that this
leaves open are measured on the CPU as `rds.cover_kcenter` measures them.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from atal_ray.acquisition.cover.distances import (
    FLOAT64,
    Array,
    OnProgress,
    distance_error,
    first_members,
    ignore_progress,
    require_finite,
)
from atal_ray.acquisition.cover.exact import ExactDistances
from atal_ray.acquisition.cover.members import Indices, Members

SENT = 2**18  # candidates that are sent to the device at once
REPORTED = 1000  # members between two reports of progress
SPARE = 2**28  # bytes for the libraries that multiply there


def fits_on_gpu(candidates: int, dimensions: int) -> bool:
    """Whether there is a GPU with room for the candidates, and for the numbers of each pass."""
    if not torch.cuda.is_available():
        return False
    free, _ = torch.cuda.mem_get_info()
    free += torch.cuda.memory_reserved() - torch.cuda.memory_allocated()  # what PyTorch holds for the next
    return 8 * candidates * (dimensions + 6) + 32 * SENT * dimensions + SPARE < free


def cover_kcenter_on_device(
    positions: Array,
    m: int,
    start: Sequence[int] = (0,),
    device: str = "cuda",
    on_progress: OnProgress = ignore_progress,
) -> Indices:
    """Cover set V by greedy k-center (Eq. 9), the members of `rds.cover_kcenter`, on a GPU.

    It takes 8 (D + 6) bytes a candidate there and 16 here.

    Args:
        positions: [N, D] candidates.
        m: |V|; all N candidates when there are fewer.
        start: the first members of V, different ones.
        device: where the passes run.
        on_progress: called now and then with the number of members so far.

    Returns:
        Distinct indices in the order of choice; the first of equally far candidates is taken.

    Raises:
        DataError: positions are not a finite matrix of floating-point numbers, or `start` does not name
            different candidates.
    """
    first = first_members(positions, m, start)
    m = min(m, len(positions))
    if m == 0:
        return np.empty(0, np.int64)
    passes = _Passes(positions, first, device)
    require_finite(passes.exact.error)
    members = Members(positions, m, first)
    while members.count < m:
        chosen = passes.farthest(members)
        if passes.exact.of(chosen) == 0:  # all others are duplicates of members: they follow in their order
            for row in passes.others()[: m - members.count]:
                members.add(int(row))
            break
        members.add(chosen)
        passes.measure(chosen)
        if members.count % REPORTED == 0:
            on_progress(members.count)
    on_progress(members.count)
    return members.indices


class _Passes:
    """The candidates on the device, with their squared distances to the cover."""

    def __init__(self, positions: Array, first: Sequence[int], device: str) -> None:
        count, dimensions = positions.shape
        self.points = torch.empty(count, dimensions, dtype=torch.float64, device=device)
        """Relative to the first member [N, D]."""
        self.squares = torch.empty(count, dtype=torch.float64, device=device)
        """Squared lengths of these [N]."""
        centre = torch.from_numpy(positions[first[0]].astype(np.float64)).to(device)
        for begin in range(0, count, SENT):
            part = torch.from_numpy(positions[begin : begin + SENT]).to(device).double() - centre
            self.points[begin : begin + SENT] = part
            self.squares[begin : begin + SENT] = torch.linalg.vecdot(part, part)
        self.nearest = torch.full_like(self.squares, torch.inf)
        radius = float(self.squares.max())
        self.error = 2 * distance_error(radius, dimensions, FLOAT64)
        """Of the products, and of the distances on the CPU that they are compared with."""
        with np.errstate(over="ignore"):
            single = float(np.float32(radius))
        self.exact = ExactDistances(count, distance_error(single, dimensions))
        for index in first:
            self.measure(index)

    def measure(self, member: int) -> None:
        """Bring the distances up to date with a new member, which itself is out of the question."""
        near = self.squares - 2 * (self.points @ self.points[member]) + self.squares[member]
        torch.minimum(self.nearest, near, out=self.nearest)
        self.nearest[member] = -torch.inf

    def farthest(self, members: Members) -> int:
        """The candidate farthest from the cover in float64, the first of equal ones."""
        largest, index = self.nearest.max(0)
        open_ones = self.nearest >= largest - 2 * self.error
        chosen, count = torch.stack([index, open_ones.sum()]).tolist()  # the one wait of a pick
        if count == 1:
            return int(chosen)
        window = _rows(open_ones)
        return self.exact.farthest(members, window, members.centred(window))

    def others(self) -> Indices:
        """The candidates that are no members, in their order."""
        return _rows(self.nearest > -torch.inf)


def _rows(chosen: Tensor) -> Indices:
    found: Indices = chosen.nonzero()[:, 0].cpu().numpy()
    return found
