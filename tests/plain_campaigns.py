"""Campaigns that grow and fork in tests: a toy network, uncompiled, so that a round takes a moment."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from campaigns import tiny_config
from plain_reports import plain_reports

from atal_ray.campaign.campaign_folder import POINTS, CampaignFolder
from atal_ray.config import Config, NetworkConfig


@contextmanager
def plain_snapshots() -> Iterator[None]:
    """Snapshots predict as they are, not compiled, and reports have no charts."""
    with plain_reports(), pytest.MonkeyPatch.context() as patch:
        actor = "atal_ray.campaign.snapshot_actor"
        patch.setattr(
            f"{actor}.prepare_snapshots", lambda members, *_, **__: [member.eval() for member in members]
        )
        patch.setattr(f"{actor}._PREPARED", {})
        yield


def toy_config(train: Path, tests: tuple[Path, ...] = (), **changes: Any) -> Config:
    """Two rounds of 2 + 2 points at 64 px with the toy network."""
    return tiny_config(train, tests, network=NetworkConfig(name="toy_network:Toy"), **changes)


def with_data(config: Config, **changes: Any) -> Config:
    return dataclasses.replace(config, data=dataclasses.replace(config.data, **changes))


def with_budget(config: Config, **changes: Any) -> Config:
    return dataclasses.replace(config, budget=dataclasses.replace(config.budget, **changes))


def points(campaign: CampaignFolder, rounds: int) -> list[list[dict[str, Any]]]:
    return [campaign.round(number).read_table(POINTS).to_pylist() for number in range(rounds)]


def files(folder: Path) -> dict[str, bytes]:
    """The bytes of every file of a campaign by its path, but for the lock."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "campaign.lock"
    }


def replace_unseen(file: Path) -> None:
    """Make a file another one of the same size."""
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.write_bytes(data)
