"""The questions that a round went on without: not picked anew, but asked again in the next one."""

from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from atal_ray.annotation.given_answers import PIXEL
from atal_ray.campaign.campaign_folder import POINTS, QUERIES, CampaignFolder
from atal_ray.config import Config
from atal_ray.labels.points import QUERY_SCHEMA, concat, in_order, running_numbers


def goes_on_without(campaign: CampaignFolder, config: Config, number: int) -> bool:
    """Whether a round has fewer points than it was asked for, because people have not answered all."""
    asked, out = campaign.round(number - 1), campaign.round(number)
    if number < 0 or not config.asks or config.budget.annotator != "answers":
        return False
    there = asked.exists(QUERIES) and out.exists(POINTS)
    return there and out.count_rows(POINTS) < asked.count_rows(QUERIES)


def left_open(
    campaign: CampaignFolder, config: Config, number: int, first_id: str = "", last_id: str | None = None
) -> pa.Table:
    """The questions that a round went on without, rows of QUERY_SCHEMA by image.

    Args:
        campaign: the folder.
        config: its configuration.
        number: the round.
        first_id: of the first image that is looked at.
        last_id: of the last one; all others if unset.
    """
    if not goes_on_without(campaign, config, number):
        return QUERY_SCHEMA.empty_table()

    def rows(folder: int, name: str) -> pa.Table:
        if last_id is None:
            return campaign.round(folder).read_table(name)
        return campaign.round(folder).read_between(name, "image_id", first_id, last_id)

    asked, points = rows(number - 1, QUERIES), rows(number, POINTS)
    return in_order(asked.join(points.select(PIXEL), PIXEL, join_type="left anti").cast(QUERY_SCHEMA))


def asked_again(picks: Iterable[pa.Table], left: pa.Table, number: int) -> Iterator[pa.Table]:
    """Tables of new questions with those that were left open, which come first in their image.

    Args:
        picks: rows of QUERY_SCHEMA, ascending by image from table to table.
        left: of `left_open`.
        number: the round that the answers are for.
    """
    for table in picks:
        if table.num_rows:
            reached = pc.less_equal(left["image_id"], table["image_id"][-1])
            mine, left = left.filter(reached), left.filter(pc.invert(reached))
            yield _merged(table, mine, number) if mine.num_rows else table
    if left.num_rows:
        yield _merged(QUERY_SCHEMA.empty_table(), left, number)


def _merged(fresh: pa.Table, left: pa.Table, number: int) -> pa.Table:
    """Both by image, renumbered; a pixel that is asked for anew is asked once."""
    older = left.join(fresh.select(PIXEL), PIXEL, join_type="left anti").cast(QUERY_SCHEMA)
    table = in_order(concat([older, fresh], QUERY_SCHEMA))  # of earlier rounds: they come first
    columns = {
        "round": pa.repeat(pa.scalar(number, pa.int16()), table.num_rows),
        "order": running_numbers(table["image_id"]).cast(pa.int16()),
    }
    return pa.table([columns.get(name, table[name]) for name in table.schema.names], schema=QUERY_SCHEMA)
