"""What every part of benchmarks/gpu.py is given."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from atal_ray.config.training import StrideOn

AHEAD = "compile ahead"
"""The part that compiles beside the others, and the file of its notes."""
Note = Callable[[str, dict[str, Any]], None]
"""Keeps the figures of one measurement under a name; they are on disk when it returns."""


@dataclass(frozen=True, kw_only=True)
class Setup:
    """Data, sizes and time of a run."""

    data: Path
    """Folder of images with masks, in any layout."""
    weights: Path | None
    """ImageNet weights of a ResNet-50; random ones where absent."""
    stride_on: StrideOn
    """Where the bottlenecks of these weights stride."""
    work: Path
    """Folder for what the parts make: a campaign, traces."""
    small: bool
    """A size at which a CPU needs seconds."""
    seconds: float
    """Time for the whole run."""

    @property
    def device(self) -> torch.device:
        """The GPU where there is one."""
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    @property
    def side(self) -> int:
        """Side of the images in pixels."""
        return 64 if self.small else 352

    @property
    def batch(self) -> int:
        """Images in a training batch."""
        return 2 if self.small else 32

    @property
    def images(self) -> int:
        """Images of the campaign, at most."""
        return 6 if self.small else 800

    @property
    def networks(self) -> tuple[str, ...]:
        """Networks by name; the first is that of the campaign."""
        return ("f3net-small",) if self.small else ("f3net", "minet", "pfsnet")


@dataclass(frozen=True)
class Part:
    """One part: what it runs, and the seconds after which it is stopped."""

    run: Callable[[Setup, Note], None]
    limit: float


def median_seconds(work: Callable[[], object], device: torch.device, *, calls: int, repeats: int) -> float:
    """Median over the repeats of the seconds of one call, when several follow each other."""
    seconds = []
    for _ in range(repeats):
        wait(device)
        start = time.perf_counter()
        for _ in range(calls):
            work()
        wait(device)
        seconds.append((time.perf_counter() - start) / calls)
    return statistics.median(seconds)


def wait(device: torch.device) -> None:
    """Until the device has done all its work."""
    if device.type == "cuda":
        torch.cuda.synchronize()
