"""Tables in a file of this machine that is mapped into memory: rows that nobody looks at take none."""

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa


def write_mapped(path: Path, tables: Iterable[pa.Table], schema: pa.Schema) -> list[pa.RecordBatch]:
    """Write tables, each as one batch, and map the file; empty ones are left out.

    Args:
        path: the file; it must stay as long as the batches are used.
        tables: with the columns of the schema.
        schema: of the file.
    """
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for table in tables:
            for batch in table.cast(schema).combine_chunks().to_batches():
                writer.write_batch(batch)
    reader = pa.ipc.open_file(pa.memory_map(str(path)))
    return [reader.get_batch(number) for number in range(reader.num_record_batches)]
