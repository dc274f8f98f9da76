"""Points in the formats that labelling tools and trainers read, one file a format."""

from atal_ray.annotation.formats import (  # noqa: F401  each registers itself
    cvat,
    fifty_one,
    hugging_face,
    label_maps,
    label_studio,
    labelme,
    parquet_table,
    point_sup,
    queries_pickle,
    sam_prompts,
    web_dataset,
)
from atal_ray.annotation.formats.point_format import FORMATS as ALL

__all__ = ["ALL"]
