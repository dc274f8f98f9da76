"""The part of the report about those who answered on the page: pace, agreement, controls, disagreements."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from atal_ray.campaign.campaign_folder import MANIFEST, SAID, CampaignFolder
from atal_ray.config import Config
from atal_ray.data.record import records
from atal_ray.errors import AtalError, counted
from atal_ray.report.overlays import LABEL_NAMES, Layer, photo
from atal_ray.report.tables import NOTHING, Cell, Table

REACH, ZOOM = 26, 3
"""Pixels around a disputed one that are shown, and how much larger."""


@dataclass(frozen=True)
class Disagreement:
    """A pixel of which people said different things, with what lies around it."""

    image_id: str
    side: int
    """Of the picture, in pixels; the disputed one is its middle."""
    picture: Layer
    said: str
    problem: str = ""
    """Why there is no picture."""


@dataclass(frozen=True)
class People:
    """Who answered, and where they disagree."""

    table: Table
    disagreements: tuple[Disagreement, ...]
    more: int
    """Disagreements that are not shown."""


def read_people(campaign: CampaignFolder, config: Config, rounds: int) -> People:
    """What people did in the committed rounds; the disagreements are of the last round that has some."""
    found = [
        (number, campaign.round(number).read_json(SAID))
        for number in range(rounds)
        if campaign.round(number).exists(SAID)
    ]
    rows = [_row(number, who, of) for number, said in found for who, of in said["people"].items()]
    columns = ("round", "who", "answers", "seconds an answer", "shared", "kappa", "control points right")
    table = Table("Who answered", (), columns, tuple(rows))
    last = next((said for _, said in reversed(found) if said["shown"]), None)
    if last is None:
        return People(table, (), 0)
    shown = tuple(_disagreements(campaign, config, last["shown"]))
    return People(table, shown, last["disagreements"] - len(shown))


def _row(number: int, who: str, of: dict[str, Any]) -> tuple[Cell, ...]:
    texts = (
        str(number),
        who,
        f"{of['answers']:,}",
        f"{of['median_milliseconds'] / 1000:.1f}",
        str(of["shared"]),
        NOTHING if of["kappa"] is None else f"{of['kappa']:.2f}",
        f"{of['right']} of {of['controls']}" if of["controls"] else NOTHING,
    )
    return tuple(map(Cell, texts))


def _disagreements(
    campaign: CampaignFolder, config: Config, shown: list[dict[str, Any]]
) -> Iterator[Disagreement]:
    data, side = campaign.training_data(config), (2 * REACH + 1) * ZOOM
    for one in shown:
        each = ", ".join(f"{who}: {LABEL_NAMES[label]}" for who, label in one["said"].items())
        said = f"{each}; taken as {LABEL_NAMES[one['label']]}"
        try:
            rows = campaign.root.read_between(MANIFEST, "image_id", one["image_id"], one["image_id"])
            (record,) = records(rows, data)
            image = np.pad(record.read_image(), ((REACH, REACH), (REACH, REACH), (0, 0)))
            around = image[one["y"] : one["y"] + 2 * REACH + 1, one["x"] : one["x"] + 2 * REACH + 1]
            yield Disagreement(one["image_id"], side, photo(around, (side, side)), said)
        except AtalError as error:
            yield Disagreement(one["image_id"], side, "", said, str(error))


def more_of(people: People) -> str:
    """A sentence about what is not shown."""
    return f"... and {counted(people.more, 'disagreement')} more." if people.more else ""
