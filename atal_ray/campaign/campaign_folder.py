"""Where everything of a campaign lies, and the rule that makes a round whole: COMMITTED is written last."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pyarrow as pa

from atal_ray.config import Config
from atal_ray.data.manifest import Record, records
from atal_ray.errors import CampaignError
from atal_ray.labels.points import POINT_SCHEMA, concat
from atal_ray.labels.superpixel_cache import SuperpixelCache
from atal_ray.store.folder import Folder

MANIFEST, POINTS, QUERIES, ERRORS = "manifest.parquet", "points.parquet", "queries.parquet", "errors.parquet"
METRICS, TRAINING, COMMITTED = "metrics.json", "training.json", "COMMITTED"
TRAIN_RUN = "train"  # Ray Train's working folder inside a round's
ERROR_SCHEMA = pa.schema([(name, pa.string()) for name in ("stage", "image_id", "reason")])
MEMBERS = (
    "ensemble",
    "last",
)  # whose metrics metrics.json holds: the mean of the snapshots, and the last one alone
CHUNK = 1024  # images that the driver looks at together
START = -1  # the random start asks without a network, before round 0


@dataclass(frozen=True)
class CampaignFolder:
    """The folder of one campaign; cheap to make anywhere, also inside a worker."""

    root: Folder

    def round(self, number: int) -> Folder:
        """The folder of a round; `seed` for the random start."""
        return self.root / ("seed" if number == START else f"round-{number:02d}")

    def snapshots(self, number: int) -> Folder:
        """The snapshots 1.pt .. L.pt of a round."""
        return self.round(number) / "snapshots"

    def test_sets(self) -> list[str]:
        """Names of the test sets, sorted."""
        return [name.removesuffix(".parquet") for name in (self.root / "tests").names()]

    def images(self) -> Iterator[list[Record]]:
        """The rows of the manifest, some at a time."""
        total = self.root.count_rows(MANIFEST)
        for start in range(0, total, CHUNK):
            yield records(self.root.read_rows(MANIFEST, start, min(start + CHUNK, total)))

    def superpixels(self, config: Config) -> SuperpixelCache:
        """The superpixel maps of the training images; a shared folder keeps those of other images or settings
        apart.
        """
        if config.resources.superpixels is None:
            return SuperpixelCache(self.root / "superpixels", config.regions)
        settings = f"{config.data.train} {replace(config.regions, labels='propagate')}"
        key = hashlib.sha256(settings.encode()).hexdigest()[:16]
        return SuperpixelCache(Folder(config.resources.superpixels) / key, config.regions)

    def points(self, last_round: int, first_id: str | None = None, last_id: str | None = None) -> pa.Table:
        """All points that are labelled when a round trains; optionally those of the images first_id to
        last_id alone.
        """
        folders = [self.round(number) for number in range(last_round + 1)]
        if first_id is None or last_id is None:
            return concat((folder.read_table(POINTS) for folder in folders), POINT_SCHEMA)
        return concat(
            (folder.read_between(POINTS, "image_id", first_id, last_id) for folder in folders), POINT_SCHEMA
        )

    def is_committed(self, number: int) -> bool:
        """Whether the round is done and its files are those that were committed; CampaignError names one that
        is not.
        """
        folder = self.round(number)
        if not folder.exists(COMMITTED):
            return False
        for name, digest in folder.read_json(COMMITTED).items():
            if not folder.exists(name) or _digest(folder, name) != digest:
                raise CampaignError(
                    f"{folder.where(name)} was changed or lost after the round was committed: restore it "
                    "from a copy"
                )
        return True

    def committed_rounds(self) -> int:
        """How many rounds are done, from the first one on; CampaignError as in `is_committed`."""
        number = 0
        while self.is_committed(number):
            number += 1
        return number

    def commit(self, number: int) -> None:
        """Declare the round done: write the digest of each of its tables, last of all."""
        folder = self.round(number)
        for leftover in (
            TRAIN_RUN,
            f"{QUERIES}.parts",
        ):  # a kill may have come between a stage's result and its tidying
            (folder / leftover).delete()
        names = [name for name in (POINTS, TRAINING, METRICS, QUERIES, ERRORS) if folder.exists(name)]
        folder.write_json(COMMITTED, {name: _digest(folder, name) for name in names})


def _digest(folder: Folder, name: str) -> str:
    return hashlib.sha256(folder.read_bytes(name)).hexdigest()
