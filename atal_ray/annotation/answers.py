"""The answers of people: a table that they leave beside the questions becomes the points of a round."""

import numpy as np
import pyarrow as pa

from atal_ray.errors import CampaignError, DataError
from atal_ray.labels.points import POINT_SCHEMA, QUERY_SCHEMA, UNSURE
from atal_ray.store.folder import Folder

ANSWERS = "answers.parquet"


def from_people(asked: pa.Table, out: Folder, questions: str) -> pa.Table:
    """The points that a table of answers (image_id, x, y, label) makes of the questions; none may be open."""
    if not out.exists(ANSWERS):
        raise CampaignError(
            f"waiting for answers: {questions} holds {asked.num_rows} questions. Write the table "
            f"{out.where(ANSWERS)} "
            "with the columns image_id, x, y, label (1 salient, 0 background, 255 unsure), then run the same "
            "command again"
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
                f"{out.where(ANSWERS)} has two different answers for image {pixel[0]}, x {pixel[1]}, y "
                f"{pixel[2]}"
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
    return labelled(asked, labels, "human")


def labelled(asked: pa.Table, labels: np.ndarray[tuple[int], np.dtype[np.uint8]], source: str) -> pa.Table:
    """The questions (QUERY_SCHEMA) with their labels as points (POINT_SCHEMA)."""
    assert asked.schema.names == QUERY_SCHEMA.names
    columns = {name: asked[name] for name in asked.schema.names if name in POINT_SCHEMA.names}
    columns |= {"label": pa.array(labels), "source": pa.array([source] * asked.num_rows, pa.string())}
    return pa.table([columns[field.name] for field in POINT_SCHEMA], schema=POINT_SCHEMA)
