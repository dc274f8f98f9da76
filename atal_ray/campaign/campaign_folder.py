"""Where everything of a campaign lies, and the rule that makes a round whole: COMMITTED is written last."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter

import pyarrow as pa

from atal_ray.config import Config
from atal_ray.data.record import Record, records
from atal_ray.errors import CampaignError, command
from atal_ray.labels.points import POINT_SCHEMA, concat
from atal_ray.labels.superpixel_cache import SuperpixelCache
from atal_ray.store.folder import Folder
from atal_ray.store.location import Location
from atal_ray.store.streamed import AscendingRows, row_groups, sha256

MANIFEST, POINTS, QUERIES, ERRORS = "manifest.parquet", "points.parquet", "queries.parquet", "errors.parquet"
IMAGE_SCORES = "image_scores.parquet"  # of each test image, where report.image_scores is set
METRICS, TRAINING, COMMITTED = "metrics.json", "training.json", "COMMITTED"
COST = "cost.json"  # what the stages of a round took
FITTED = "fitted.pt"  # what the method of a round's query has learnt of the labelled pixels
FORK = "fork.json"  # of a campaign that took the points of another; there before all else
SAID_LOG = "annotated.log"  # what people said on the page, as it came
SAID = "said.json"  # what the report says of it
CONTROLS = "controls.parquet"  # pixels with known labels that were mixed in
TRAIN_RUN = "train"  # Ray Train's working folder inside a round's
ERROR_SCHEMA = pa.schema([(name, pa.string()) for name in ("stage", "image_id", "reason")])
MEMBERS = ("ensemble", "last")
"""Whose metrics metrics.json holds: the mean of the snapshots, and the last one alone."""
CHUNK = 1024  # images that the driver looks at together
ANSWERS = ("answers.parquet", "answers.csv", "answers.json")  # tables that people write, in any letters
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

    def open_questions(self) -> int | None:
        """The number of the round whose questions have no points yet; None where there is none."""
        number = self.rounds_with_points() - 1
        return number if self.round(number).exists(QUERIES) else None

    def rounds_with_points(self) -> int:
        """How many rounds have their points, the first one without a gap on."""
        number = 0
        while self.round(number).exists(POINTS):
            number += 1
        return number

    def test_sets(self) -> list[str]:
        """Names of the test sets, sorted."""
        return [name.removesuffix(".parquet") for name in (self.root / "tests").names()]

    def training_data(self, config: Config) -> Location:
        """The folder that the paths of manifest.parquet begin in."""
        return Location.at(config.data.train) if config.data.train else Location(self.embedded("train").uri)

    def test_data(self, config: Config, name: str) -> Location:
        """The folder that the paths of tests/NAME.parquet begin in.

        Raises:
            CampaignError: the configuration has no such test set.
        """
        folders = self.test_folders(config)
        if name not in folders:
            raise CampaignError(f"{self.root.uri}: data.tests names no folder {name}")
        return folders[name]

    def test_folders(self, config: Config) -> dict[str, Location]:
        """The folders of the test sets of a configuration by their names, which ascend."""
        folders = [Location.at(folder) for folder in config.data.tests]
        if not folders and not config.data.train:
            folders = [Location(self.embedded("test").uri)]
        return dict(sorted(((folder.resolved().name, folder) for folder in folders), key=itemgetter(0)))

    def unjudged(self, config: Config, number: int) -> list[str]:
        """The test sets of a configuration that a round was not evaluated on."""
        folder = self.round(number)
        judged = folder.read_json(METRICS) if folder.exists(METRICS) else {}
        if config.report.image_scores and not folder.exists(IMAGE_SCORES):
            judged = {}
        return [name for name in self.test_folders(config) if name not in judged]

    def lacks(self, config: Config, number: int) -> bool:
        """Whether a round has no questions for the next one, or no metrics of some test set."""
        asks = number + 1 < config.rounds and not self.round(number).exists(QUERIES)
        return asks or bool(self.unjudged(config, number))

    def is_complete(self, config: Config) -> bool:
        """Whether all rounds are done, with all that the configuration wants of each."""
        done = self.committed_rounds() >= config.rounds
        return done and not any(self.lacks(config, number) for number in range(config.rounds))

    def embedded(self, name: str) -> Folder:
        """The folder of the images that are made where `data.train` is empty: train or test."""
        return self.root / "data" / name

    def copy_embedded(self, source: "CampaignFolder") -> None:
        """Copy the embedded images of another campaign, on one disk by links."""
        for name, manifest in (
            ("train", (source.root, MANIFEST)),
            ("test", (source.root / "tests", "test.parquet")),
        ):
            if not source.embedded(name).exists("images"):
                continue
            for rows in row_groups(*manifest):
                for path in (*rows["image"].to_pylist(), *rows["mask"].to_pylist()):
                    below, _, file = path.rpartition("/")
                    (self.embedded(name) / below).copy_from(source.embedded(name) / below, file)

    def chunks(self) -> Iterator[pa.Table]:
        """The rows of the manifest, some at a time."""
        for group in row_groups(self.root, MANIFEST):
            yield from (group.slice(start, CHUNK) for start in range(0, group.num_rows, CHUNK))

    def images(self, config: Config) -> Iterator[list[Record]]:
        """The training images, some at a time."""
        folder = self.training_data(config)
        return (records(rows, folder) for rows in self.chunks())

    def images_with_points(self, rounds: Sequence[int]) -> Iterator[tuple[pa.Table, list[pa.Table]]]:
        """Some rows of the manifest at a time, each with the points of these images that each round added.

        The whole campaign is read once, and no more than a few row groups are held.
        """
        readers = [AscendingRows(self.round(number), POINTS, POINT_SCHEMA) for number in rounds]
        for images in self.chunks():
            last = images["image_id"][-1].as_py()
            yield images, [reader.up_to(last) for reader in readers]

    def superpixels(self, config: Config) -> SuperpixelCache:
        """The superpixel maps of the training images; a shared folder keeps those of other images or settings
        apart.
        """
        if config.resources.superpixels is None:
            return SuperpixelCache(self.root / "superpixels", config.regions)
        settings = repr(replace(config.regions, labels="propagate"))
        key = hashlib.sha256(settings.encode()).hexdigest()[:16]
        return SuperpixelCache(Folder(config.resources.superpixels) / key, config.regions, by_digest=True)

    def points(self, last_round: int, first_id: str | None = None, last_id: str | None = None) -> pa.Table:
        """All points that are labelled when a round trains, in memory; optionally of the images first_id to
        last_id alone.

        Code that must hold at any number of points goes through `images_with_points`.
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
            answers = name.lower() in ANSWERS  # may be lost: the points hold them
            if not (sha256(folder, name) == digest if folder.exists(name) else answers):
                take = f", or take it as it is now: {command('fork', self.root.uri, 'NEW')}"
                raise CampaignError(
                    f"{folder.where(name)} was changed or lost after the round was committed: restore it "
                    f"from a copy{take * (folder.exists(name) and (answers or name == POINTS))}"
                )
        return True

    def _is_answered_in_full(self, number: int) -> bool:
        """Whether each question for a round has a point."""
        asked, answered = self.round(number - 1), self.round(number)
        if not (asked.exists(QUERIES) and answered.exists(POINTS)):
            return True
        return answered.count_rows(POINTS) == asked.count_rows(QUERIES)

    def reopen(self, number: int) -> None:
        """Declare a round unfinished, to add to its files."""
        self.round(number).remove(COMMITTED)

    def committed_rounds(self) -> int:
        """How many rounds are done, from the first one on; CampaignError as in `is_committed`."""
        number = 0
        while self.is_committed(number):
            number += 1
        return number

    def commit(self, number: int) -> None:
        """Declare the round done: write the digest of each of its tables, last of all."""
        folder = self.round(number)
        # a kill may have come between a stage's result and its tidying
        for leftover in (TRAIN_RUN, f"{POINTS}.parts", f"{QUERIES}.parts"):
            (folder / leftover).delete()
        names = [name for name in (POINTS, TRAINING, METRICS, QUERIES, ERRORS) if folder.exists(name)]
        if self._is_answered_in_full(number):  # or more rows may come, and are taken by the next round
            names += [name for name in folder.names() if name.lower() in ANSWERS]
        folder.write_json(COMMITTED, {name: sha256(folder, name) for name in names})
