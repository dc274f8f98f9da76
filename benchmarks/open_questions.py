"""A campaign that waits for its first answers, and the command that serves its page."""

import sys
from dataclasses import replace
from pathlib import Path

from atal_ray.campaign.run import run_campaign
from atal_ray.config import BudgetConfig, DataConfig, presets
from atal_ray.errors import WaitingError

ATAL = [sys.executable, "-c", "from atal_ray.cli import main; main()"]
"""The command `atal` of this environment."""


def asked(data: DataConfig, points: int, folder: Path) -> Path:
    """Ask for random points of each image; the folder of the campaign."""
    base = presets.cpu_small()
    config = replace(
        base,
        data=data,
        network=replace(base.network, weights="random"),
        budget=BudgetConfig(start=points, total=points, annotator="answers"),
        resources=replace(base.resources, backend="inline"),
    )
    try:
        run_campaign(config, folder)
    except WaitingError:
        return folder
    raise SystemExit(f"{folder} is finished: remove it")
