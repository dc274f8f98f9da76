"""Stage: questions -> labelled points. The oracle reads the mask; a table of answers can take its place."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from atal_ray.annotation.imported_points import given_points
from atal_ray.campaign.campaign_folder import MANIFEST, POINTS, QUERIES, CampaignFolder
from atal_ray.config import Config
from atal_ray.data.images import read_mask
from atal_ray.errors import CampaignError, DataError
from atal_ray.labels.points import POINT_SCHEMA, QUERY_SCHEMA, UNSURE, check_points
from atal_ray.runtime.progress_bar import progress_bar
from atal_ray.store.folder import Folder

ANSWERS = "answers.parquet"


def annotate(campaign: CampaignFolder, config: Config, round_number: int) -> None:
    """Answer the questions of the round before, or take the points that are given; writes the points.parquet
    of the round.

    Full masks leave it without rows.

    Raises:
        CampaignError: answers are awaited from people and are not, or not all, there.
        DataError: an answer is not 0, 1 or 255, or an image that the oracle is asked about has no mask.
    """
    questions, out = campaign.round(round_number - 1), campaign.round(round_number)
    if config.data.points is not None:
        given_points(campaign, config.data.points)
        return
    if config.regions.labels == "dense":
        out.write_table(POINTS, POINT_SCHEMA.empty_table())  # nothing was asked: the masks say all
        return
    asked = questions.read_table(QUERIES)
    if config.budget.annotator == "oracle":
        source = "seed" if round_number == 0 else "oracle"
        out.write_tables(POINTS, _oracle(campaign, asked, source), POINT_SCHEMA)
    else:
        out.write_table(POINTS, _answered(asked, out, questions.where(QUERIES)))


def _oracle(campaign: CampaignFolder, asked: pa.Table, source: str) -> Iterator[pa.Table]:
    """The mask's label at each point, image by image in the order of the manifest."""
    images = campaign.root.count_rows(MANIFEST)
    ids = asked["image_id"].to_numpy()
    with progress_bar(images, "annotating", "image") as bar:
        for rows in campaign.images():
            first, last = (
                np.searchsorted(ids, rows[0].image_id, "left"),
                np.searchsorted(ids, rows[-1].image_id, "right"),
            )
            chunk = asked.slice(first, last - first)
            labels = np.zeros(chunk.num_rows, np.uint8)
            chunk_ids, x, y = (chunk[column].to_numpy() for column in ("image_id", "x", "y"))
            for record in rows:
                mine = slice(
                    np.searchsorted(chunk_ids, record.image_id, "left"),
                    np.searchsorted(chunk_ids, record.image_id, "right"),
                )
                if mine.start < mine.stop:
                    if record.mask is None:
                        raise DataError(
                            f"image {record.image_id} has no mask to read labels from: use budget.annotator answers"
                        )
                    labels[mine] = read_mask(record.mask)[y[mine], x[mine]]
                bar.update(1)
            points = _points(chunk, labels, source)
            check_points(
                points,
                {row.image_id: row.height for row in rows},
                {row.image_id: row.width for row in rows},
                "the answers",
            )
            yield points


def _answered(asked: pa.Table, out: Folder, questions: str) -> pa.Table:
    """The points that a table of answers (image_id, x, y, label) makes of the questions; none may be open."""
    if not out.exists(ANSWERS):
        raise CampaignError(
            f"waiting for answers: {questions} holds {asked.num_rows} questions. Write the table {out.where(ANSWERS)} "
            "with the columns image_id, x, y, label (1 salient, 0 background, 255 unsure), then run the same command again"
        )
    answers = out.read_table(ANSWERS)
    for column in ("image_id", "x", "y", "label"):
        if column not in answers.schema.names:
            raise DataError(f"{out.where(ANSWERS)} has no column {column!r}")
    given: dict[tuple[str, int, int], int] = {}
    for row in answers.to_pylist():
        pixel = (row["image_id"], row["x"], row["y"])
        if given.setdefault(pixel, row["label"]) != row["label"]:
            raise DataError(
                f"{out.where(ANSWERS)} has two different answers for image {pixel[0]}, x {pixel[1]}, y {pixel[2]}"
            )
    labels = np.zeros(asked.num_rows, np.uint8)
    for index, row in enumerate(asked.to_pylist()):
        where = f"image {row['image_id']}, x {row['x']}, y {row['y']}"
        label = given.get((row["image_id"], row["x"], row["y"]))
        if label is None:
            raise DataError(f"{out.where(ANSWERS)} has no answer for {where}")
        if label not in (0, 1, UNSURE):
            raise DataError(f"{out.where(ANSWERS)}: label {label!r} for {where}, expected 0, 1 or 255")
        labels[index] = label
    return _points(asked, labels, "human")


def _points(asked: pa.Table, labels: np.ndarray[tuple[int], np.dtype[np.uint8]], source: str) -> pa.Table:
    assert asked.schema.names == QUERY_SCHEMA.names
    columns = {name: asked[name] for name in asked.schema.names if name in POINT_SCHEMA.names}
    columns |= {"label": pa.array(labels), "source": pa.array([source] * asked.num_rows, pa.string())}
    return pa.table([columns[field.name] for field in POINT_SCHEMA], schema=POINT_SCHEMA)
