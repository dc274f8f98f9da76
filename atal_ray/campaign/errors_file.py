"""errors.parquet of a folder: the files and images that were left out, and why."""

import pyarrow as pa

from atal_ray.campaign.campaign_folder import ERROR_SCHEMA, ERRORS
from atal_ray.labels.points import concat
from atal_ray.store.folder import Folder


def add_errors(folder: Folder, table: pa.Table) -> None:
    """Add rows of ERROR_SCHEMA to those that a folder has, each once; none leave the folder as it is."""
    known = [folder.read_table(ERRORS)] if folder.exists(ERRORS) else []
    if table.num_rows:
        all_of_them = concat([*known, table], ERROR_SCHEMA)
        folder.write_table(ERRORS, all_of_them.group_by(ERROR_SCHEMA.names, use_threads=False).aggregate([]))
