"""Stage: snapshots and test sets -> metrics of the ensemble and of the last snapshot."""

import logging
from base64 import b64decode, b64encode
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from atal_ray.campaign.campaign_folder import MEMBERS, METRICS, CampaignFolder
from atal_ray.campaign.cost import EVALUATION_COST
from atal_ray.campaign.look import Look, look
from atal_ray.campaign.not_finite import NOT_FINITE, require_finite
from atal_ray.campaign.scores_of_images import KEPT, SCORE_COLUMNS, scores_table, write_scores
from atal_ray.campaign.snapshot_actor import SnapshotActor
from atal_ray.config import Config
from atal_ray.data.images import resize
from atal_ray.data.record import Record, records
from atal_ray.errors import DataError, counted
from atal_ray.inference.saliency import predict, saliency_maps
from atal_ray.metrics.accumulator import Accumulator
from atal_ray.metrics.own_sums import OwnSums
from atal_ray.metrics.saliency_map import UInt8Map, to_uint8
from atal_ray.networks.inputs import to_batch
from atal_ray.report.gallery_file import shown_records
from atal_ray.report.predictions_file import PREDICTION_SCHEMA, PREDICTIONS, TEST_IMAGES, small_png
from atal_ray.runtime.bad_images import BadImages, require_kept
from atal_ray.runtime.shards import Pool, ShardWork, Stage, shard_rows
from atal_ray.store.folder import Folder
from atal_ray.store.streamed import row_groups

logger = logging.getLogger(__name__)
Row = dict[str, Any]
Array = np.ndarray[Any, np.dtype[Any]]


def evaluate(campaign: CampaignFolder, config: Config, round_number: int) -> None:
    """Score the round's snapshots on every test set that they were not scored on yet; see `Evaluation`."""
    look([Evaluation(campaign, config, round_number)])


class Evaluation(Look):
    """Writes metrics.json: set -> member -> metrics, after predictions.parquet with those of the few images
    that the report shows.

    Args:
        campaign: the folder.
        config: the configuration.
        round_number: the round whose snapshots are judged.
        called: what people know it as; unset: by its number.
    """

    file, cost = METRICS, EVALUATION_COST

    def __init__(
        self, campaign: CampaignFolder, config: Config, round_number: int, called: str | None = None
    ) -> None:
        super().__init__(campaign, config, round_number)
        self.called = called or f"round {round_number}"
        self.pool = Pool.of_query(config, network=True)
        self._sets: list[_TestSet] = []

    def works(self) -> list[ShardWork]:
        """One for each test set."""
        unjudged = self.campaign.unjudged(self.config, self.round_number)
        self._sets = [_TestSet(name, self.config.data.metrics) for name in unjudged]
        return [self._work(test_set.name) for test_set in self._sets]

    def take(self, number: int, row: Row) -> None:
        """Add the sums of a shard to those of its set."""
        self._sets[number].add(row)

    def finish(self) -> None:
        """Write the figures of the sets that were scored beside those that are there."""
        out, lr_max = self.campaign.round(self.round_number), self.config.train.lr_max
        result: dict[str, Any] = out.read_json(METRICS) if out.exists(METRICS) else {}
        for test_set in self._sets:
            result[test_set.name] = test_set.figures(self._title(test_set.name), lr_max)
        names = {test_set.name for test_set in self._sets}
        known = out.read_table(PREDICTIONS).to_pylist() if out.exists(PREDICTIONS) else []
        pictures = [row for row in known if row["test_set"] not in names]
        pictures += [picture for test_set in self._sets for picture in test_set.pictures]
        table = pa.Table.from_pylist(pictures, PREDICTION_SCHEMA)
        if self.config.report.image_scores:
            write_scores(out, names, (table for test_set in self._sets for table in test_set.images))
        out.write_table(PREDICTIONS, table.sort_by([("test_set", "ascending"), ("image_id", "ascending")]))
        out.write_json(METRICS, dict(sorted(result.items())))

    def _title(self, name: str) -> str:
        return f"{self.called}: evaluation on {name}"

    def _work(self, name: str) -> ShardWork:
        campaign, config, tests = self.campaign, self.config, self.campaign.root / "tests"
        file = f"{name}.parquet"
        images = tests.count_rows(file)
        shown = shown_records(row_groups(tests, file), campaign.test_data(config, name), TEST_IMAGES)
        arguments = {
            "campaign": campaign,
            "config": config,
            "round_number": self.round_number,
            "test_set": name,
            "shown": [record.image_id for record in shown],
        }
        return ShardWork(
            self._title(name),
            shard_rows(images, config.query.shard_size),
            images,
            Stage(EvaluateShard, arguments),
            bad=BadImages.of_table(tests, file, config.data.on_bad_file),
        )


class _TestSet:
    """The sums over the shards of a test set."""

    def __init__(self, name: str, metrics: Sequence[str]) -> None:
        self.name = name
        self.sums: dict[str, Accumulator] = {who: Accumulator() for who in MEMBERS}
        self.own = {who: OwnSums(metrics) for who in MEMBERS}
        self.errors: list[list[str]] = []
        self.pictures: list[Row] = []
        self.images: list[pa.Table] = []

    def add(self, row: Row) -> None:
        """Add what `EvaluateShard` found of a shard."""
        for who in MEMBERS:
            self.sums[who].merge(Accumulator.from_state(row[who]))
            self.own[who].merge(row["own"][who])
        self.errors.extend(list(error) for error in row["errors"])
        self.images.append(scores_table(self.name, row["ids"], row["scores"]))
        self.pictures.extend(
            {"test_set": self.name, "image_id": image_id, "prediction": b64decode(picture)}
            for image_id, picture in row["pictures"]
        )

    def figures(self, title: str, lr_max: float) -> dict[str, Any]:
        """The metrics of each member, and the images that were left out."""
        require_finite((reason for _, reason in self.errors), self.sums["last"].images, title, lr_max)
        if self.errors:
            left_out = counted(len(self.errors), "image")
            logger.warning("%s: left out %s, such as %s: %s", title, left_out, *min(self.errors))
        of_members = {
            who: replace(self.sums[who].summary(), own=self.own[who].means()).to_json() for who in MEMBERS
        }
        return {**of_members, "errors": sorted(self.errors)}


@dataclass(frozen=True)
class Predicted:
    """A test image that was looked at."""

    image_id: str
    mask: Array
    maps: tuple[UInt8Map, UInt8Map] | None
    """Of the ensemble and of the last snapshot [H, W]; None where they are not finite."""


class EvaluateShard(SnapshotActor):
    """An actor that predicts the images of a shard and sums their metrics."""

    def __init__(
        self,
        campaign: CampaignFolder,
        config: Config,
        round_number: int,
        test_set: str,
        shown: Collection[str] = (),
    ) -> None:
        super().__init__(campaign, config, round_number)
        self.shown, self.pictures = frozenset(shown), list[list[str]]()
        self.ids, self.scores = list[str](), list[Array]()
        self.manifest: tuple[Folder, str] = (campaign.root / "tests", f"{test_set}.parquet")
        self.data = campaign.test_data(config, test_set)

    def __call__(self, row: Row) -> Row:
        """Sums of the ensemble's and the last snapshot's metrics, and the images that could not be read."""
        folder, name = self.manifest
        sums: dict[str, Accumulator] = {who: Accumulator() for who in MEMBERS}
        self.own = {who: OwnSums(self.config.data.metrics) for who in MEMBERS}
        errors: list[list[str]] = []
        self.pictures, self.ids, self.scores = [], [], []
        rows = records(folder.read_rows(name, row["start"], row["stop"]), self.data)
        numbered, size = [*enumerate(rows, row["start"])], self.config.query.batch_size
        batches = [numbered[start : start + size] for start in range(0, len(numbered), size)]
        for predicted, unreadable in self.ahead(partial(self._look, row), batches):
            errors += unreadable
            for one in predicted:
                if one.maps is None:
                    errors.append([one.image_id, NOT_FINITE])
                else:
                    self._add(sums, one.image_id, one.mask, one.maps)
        return {
            **row,
            "images": row["stop"] - row["start"],
            "errors": errors,
            "pictures": self.pictures,  # id and PNG as text: Ray Data takes lists of text, empty ones too
            "ids": self.ids,
            "scores": np.array(self.scores, np.float32).reshape(len(self.ids), SCORE_COLUMNS),
            **{who: sums[who].state() for who in MEMBERS},
            "own": {who: self.own[who].state() for who in MEMBERS},
        }

    def _look(self, row: Row, batch: Sequence[tuple[int, Record]]) -> tuple[list[Predicted], list[list[str]]]:
        """What the snapshots predict for a batch, and id and reason of each image that cannot be read."""
        found: list[tuple[Record, Array, Array]] = []
        errors: list[list[str]] = []
        for number, record in batch:
            try:
                require_kept(row, number)
                image, mask = record.read_image(), record.read_mask().astype(bool)
            except DataError as error:
                errors.append([record.image_id, str(error)])
                continue
            found.append((record, resize(image, self.config.train.size), mask))
        if not found:
            return [], errors
        images = to_batch(np.stack([image for _, image, _ in found]), self.device)
        logits = predict(self.snapshots, images)
        predicted = [
            Predicted(record.image_id, mask, _judged_maps(logits[:, index], mask.shape))
            for index, (record, _, mask) in enumerate(found)
        ]
        return predicted, errors

    def _add(
        self, sums: dict[str, Accumulator], image_id: str, mask: Array, maps: tuple[UInt8Map, UInt8Map]
    ) -> None:
        """Add the metrics of an image."""
        if image_id in self.shown:
            self.pictures.append([image_id, b64encode(small_png(maps[0])).decode()])
        for who, saliency in zip(("ensemble", "last"), maps, strict=True):
            found = sums[who].add(saliency, mask, image_id)
            if who == "ensemble" and self.config.report.image_scores:
                self.ids.append(image_id)
                self.scores.append(np.concatenate([found[name] for name in KEPT]))
            self.own[who].add(saliency, mask, image_id)


def _judged_maps(logits: Tensor, shape: tuple[int, int]) -> tuple[UInt8Map, UInt8Map] | None:
    """The mean of the snapshots' maps, and that of the last one; None where one is not finite."""
    maps = saliency_maps(logits, shape)
    judged = torch.stack([maps.mean(0), maps[-1]]).cpu().numpy()
    if not np.isfinite(judged).all():  # as the mean is where any of them is not
        return None
    return to_uint8(judged[0]), to_uint8(judged[1])
