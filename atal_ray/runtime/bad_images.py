"""An image on which workers die: a crash in a library, say, or more memory than there is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from atal_ray.config.data import OnBadFile
from atal_ray.errors import DataError
from atal_ray.store.folder import Folder

Row = dict[str, Any]

DEATHS = 3
"""Of workers on the same work, after which it is not tried in the same way again."""
LEFT_OUT = "left_out"
"""Field of a shard's row: number of an image in its table -> why it is left out."""
SKIP = (
    "the same command with --data.on-bad-file skip (of atal generate and atal finish: --on-bad-file skip) "
    "goes on without it"
)
REASON = "the worker's process ended without a word when it came to this image"


@dataclass(frozen=True)
class BadImages:
    """What becomes of such an image."""

    name: Callable[[Row, int], str]
    """The image of that number in the table of a shard's row, for people."""
    on_bad_file: OnBadFile = "skip"
    """skip: it counts as one that cannot be read; refuse: the stage ends with a sentence that names it."""
    advice: str = SKIP
    """What to do where it is refused."""

    @classmethod
    def of_table(
        cls,
        folder: Folder,
        table: str,
        on_bad_file: OnBadFile,
        *,
        column: str = "image",
        advice: str = SKIP,
    ) -> "BadImages":
        """Images by the files that a table lists in a column."""

        def name(row: Row, number: int) -> str:
            return str(folder.read_rows(table, number, number + 1)[column][0].as_py())

        return cls(name, on_bad_file, advice)


def require_kept(row: Row, number: int) -> None:
    """Raise DataError for an image that a shard leaves out, by its number in the table."""
    reasons: dict[int, str] = row.get(LEFT_OUT, {})
    if number in reasons:
        raise DataError(reasons[number])
