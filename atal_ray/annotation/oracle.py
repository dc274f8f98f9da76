"""The oracle: it reads the answer to each question from the image's mask, shard by shard."""

from typing import Any

import numpy as np
import pyarrow as pa

from atal_ray.annotation.answers import labelled
from atal_ray.campaign.campaign_folder import MANIFEST, POINTS, QUERIES, CampaignFolder
from atal_ray.config import Config
from atal_ray.data.record import Record, records
from atal_ray.errors import DataError
from atal_ray.labels.points import POINT_SCHEMA, check_points
from atal_ray.runtime.bad_images import BadImages
from atal_ray.runtime.shard_files import ShardFiles, part_name
from atal_ray.runtime.shards import FILES_SHARD, Pool, run_shards, shard_rows
from atal_ray.store.folder import Folder

Row = dict[str, Any]


def answer_by_masks(campaign: CampaignFolder, config: Config, round_number: int) -> None:
    """The mask's label at each question of the round before, as the points.parquet of a round.

    A shard's points are a file of their own until all are there, so a restart repeats unfinished shards
    alone.

    Raises:
        DataError: an image that is asked about has no mask, or it cannot be read.
    """
    out, images = campaign.round(round_number), campaign.root.count_rows(MANIFEST)
    rows = shard_rows(images, FILES_SHARD)
    parts = ShardFiles(out / f"{POINTS}.parts", last="points")
    for row in run_shards(
        parts.pending(rows),
        Pool.of_files(config, images),
        load=None,
        actor=OracleShard,
        arguments={
            "campaign": campaign,
            "config": config,
            "round_number": round_number,
            "parts": parts.folder,
        },
        title="annotating",
        total=images,
        bad=BadImages.of_table(
            campaign.root,
            MANIFEST,
            "refuse",
            column="mask",
            advice="put a good mask there",
        ),
    ):
        del row  # its points are in a file already
    out.write_tables(POINTS, parts.tables("points", range(len(rows))), POINT_SCHEMA)
    parts.folder.delete()


class OracleShard:
    """An actor that answers the questions about the images of a shard; it leaves a file of points.

    Args:
        campaign: the folder.
        config: the configuration.
        round_number: the round that the points are for.
        parts: the folder of the files.
    """

    def __init__(self, campaign: CampaignFolder, config: Config, round_number: int, parts: Folder) -> None:
        self.manifest, self.data = campaign.root, campaign.training_data(config)
        self.questions, self.parts = campaign.round(round_number - 1), parts
        self.source = "oracle" if round_number else "seed"

    def __call__(self, row: Row) -> Row:
        """Answer what is asked of the images of a shard."""
        rows = records(self.manifest.read_rows(MANIFEST, row["start"], row["stop"]), self.data)
        asked = self.questions.read_between(QUERIES, "image_id", rows[0].image_id, rows[-1].image_id)
        self.parts.write_table(part_name(row["shard"], "points"), from_masks(rows, asked, self.source))
        return {**row, "images": row["stop"] - row["start"]}


def from_masks(rows: list[Record], asked: pa.Table, source: str) -> pa.Table:
    """The mask's label at each question.

    Args:
        rows: the images, ascending by id.
        asked: questions about them, rows of QUERY_SCHEMA ascending by image id.
        source: what the points say of their origin.

    Raises:
        DataError: an image that is asked about has no mask, or it cannot be read.
    """
    labels = np.zeros(asked.num_rows, np.uint8)
    ids, x, y = (asked[column].to_numpy() for column in ("image_id", "x", "y"))
    for record in rows:
        mine = slice(*(np.searchsorted(ids, record.image_id, side) for side in ("left", "right")))
        if mine.start < mine.stop:
            if record.mask is None:
                raise DataError(
                    f"image {record.image_id} has no mask to read labels from: use budget.annotator answers"
                )
            labels[mine] = record.read_mask()[y[mine], x[mine]]
    points = labelled(asked, labels, source)
    heights, widths = ({row.image_id: getattr(row, side) for row in rows} for side in ("height", "width"))
    check_points(points, heights, widths, "the answers")
    return points
