"""What a figure was measured on, for the head of every result file."""

import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from source_digest import ROOT, digest_of

PACKAGES = ("atal-ray", "ray", "torch", "numpy", "opencv-contrib-python-headless", "pyarrow")
SOURCES = ("atal_ray", "jobs", "benchmarks", ":!benchmarks/results")


def provenance(
    modules: Sequence[str], rivals: Sequence[str] = (), kept: Path | None = None
) -> dict[str, Any]:
    """Date, commit, digest of the measured code, machine and versions.

    Call it before anything is measured: the load is that of the minute before.

    Args:
        modules: dotted names of the modules and packages that the benchmark measures.
        rivals: distributions that they are compared with.
        kept: file that holds that of the first call, for a benchmark whose later calls go on with its work.
    """
    if kept is not None:
        if not kept.exists():
            kept.write_text(json.dumps(provenance(modules, rivals)))
        first: dict[str, Any] = json.loads(kept.read_text())
        return first
    import torch

    return {
        "date": datetime.date.today().isoformat(),
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain", "--", *SOURCES)),
        "measures": list(modules),
        "code": digest_of(modules),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {_processor()}",
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_average_before": round(os.getloadavg()[0], 2),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
        "rivals": {name: importlib.metadata.version(name) for name in rivals},
    }


def described(options: Any) -> dict[str, Any]:
    """The fields of a benchmark's options for its result file; of a path the last part alone."""
    return {name: value.name if isinstance(value, Path) else value for name, value in asdict(options).items()}


def _version(name: str) -> str | None:
    """The version of a distribution; none where the package is used from a folder."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    """What git prints; none outside a checkout."""
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _processor() -> str:
    """Name, family and model: the name alone may stand for several."""
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:
        return platform.processor()
    facts = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if "model name" not in facts:
        return platform.processor()
    return f"{facts['model name']} (family {facts.get('cpu family')}, model {facts.get('model')})"
