"""Stage: saliency maps and masks -> every metric of every image, and their sums (Ray Data)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import pyarrow as pa
from PIL import Image

from atal_ray.config.evaluation import Interpolation
from atal_ray.data.images import read_soft_mask
from atal_ray.errors import DataError
from atal_ray.evaluation.evaluation_folder import (
    IMAGE_SCHEMA,
    IMAGES,
    METRICS,
    NOTE_SCHEMA,
    NOTES,
    PAIRS,
    SHARD,
)
from atal_ray.evaluation.maps import fit_map, read_map
from atal_ray.metrics.accumulator import Accumulator
from atal_ray.metrics.scores import image_row
from atal_ray.runtime.bad_images import BadImages, require_kept
from atal_ray.runtime.shard_files import ShardFiles, part_name
from atal_ray.runtime.shards import Pool, run_shards, shard_rows
from atal_ray.store.folder import Folder

PARTS = "parts"
Row = dict[str, Any]


@dataclass(frozen=True)
class Rules:
    """How a map and a mask are made comparable."""

    interpolation: Interpolation
    mask_threshold: int


def score_maps(places: Sequence[Folder], rules: Rules, pool: Pool) -> None:
    """Score the pairs.parquet of each place; writes images.parquet, notes.parquet and, last, metrics.json.

    A shard's results are files of their own until all of its place are there, so a restart repeats unfinished
    shards alone.
    """
    todo = [place for place in places if not place.exists(METRICS)]
    for place in places:
        if place.exists(METRICS):
            (place / PARTS).delete()  # a kill may have come between the last result and its tidying
    shards = {place.uri: shard_rows(place.count_rows(PAIRS), SHARD) for place in todo}
    pending = [
        {**row, "place": place.uri} for place in todo for row in _parts(place).pending(shards[place.uri])
    ]
    arguments = {"rules": rules}
    total = sum(row["stop"] - row["start"] for rows in shards.values() for row in rows)
    for row in run_shards(
        pending,
        pool,
        load=None,
        actor=MapScorer,
        arguments=arguments,
        title="scoring",
        total=total,
        bad=BadImages(_map_of),
    ):
        del row  # its results are in files already
    for place in todo:
        _finish(place, [row["shard"] for row in shards[place.uri]])


def _map_of(row: Row, number: int) -> str:
    return str(Folder(row["place"]).read_rows(PAIRS, number, number + 1)["map"][0].as_py())


def _finish(place: Folder, shards: Sequence[int]) -> None:
    parts, sums = _parts(place), Accumulator()
    for state in parts.values("sums", shards):
        sums.merge(Accumulator.from_state(state))
    place.write_tables(NOTES, parts.tables("notes", shards), NOTE_SCHEMA)
    place.write_tables(IMAGES, parts.tables("images", shards), IMAGE_SCHEMA)
    place.write_json(METRICS, sums.summary().to_json() if sums.images else None)
    parts.folder.delete()


def _parts(place: Folder) -> ShardFiles:
    return ShardFiles(place / PARTS, last="sums", suffix="json")


class MapScorer:
    """An actor that reads the maps and masks of a shard and scores them."""

    def __init__(self, rules: Rules) -> None:
        cv2.setNumThreads(1)
        self.rules = rules

    def __call__(self, row: Row) -> Row:
        """Score a shard; what cannot be read, or was not as it should be, becomes a note."""
        place, sums = Folder(row["place"]), Accumulator()
        images: list[Row] = []
        notes: list[Row] = []
        pairs = place.read_rows(PAIRS, row["start"], row["stop"]).to_pylist()
        for number, pair in enumerate(pairs, row["start"]):
            try:
                require_kept(row, number)
                images.append({"image_id": pair["image_id"], **self._score(pair, sums, notes)})
            except DataError as error:
                notes.append({"image_id": pair["image_id"], "kind": "unreadable", "note": str(error)})
        parts = place / PARTS
        parts.write_table(part_name(row["shard"], "notes"), pa.Table.from_pylist(notes, NOTE_SCHEMA))
        parts.write_table(part_name(row["shard"], "images"), pa.Table.from_pylist(images, IMAGE_SCHEMA))
        parts.write_json(part_name(row["shard"], "sums", "json"), sums.state())  # last: the shard is done
        return {"shard": row["shard"], "images": row["stop"] - row["start"]}

    def _score(self, pair: Row, sums: Accumulator, notes: list[Row]) -> dict[str, float]:
        saliency, mask = read_map(pair["map"]), read_soft_mask(pair["mask"]) > self.rules.mask_threshold
        if _has_palette(pair["map"]):
            note = f"{pair['map']} was read through its palette"
            notes.append({"image_id": pair["image_id"], "kind": "palette", "note": note})
        if saliency.shape != mask.shape:
            sizes = f"{saliency.shape[1]}x{saliency.shape[0]} px, the mask {mask.shape[1]}x{mask.shape[0]}"
            note = f"{pair['map']} has {sizes}: resized ({self.rules.interpolation})"
            notes.append({"image_id": pair["image_id"], "kind": "resized", "note": note})
        return image_row(sums.add(fit_map(saliency, mask.shape, self.rules.interpolation), mask, pair["map"]))


def _has_palette(path: str) -> bool:
    if path.lower().endswith(".npy"):
        return False
    with Image.open(path) as image:
        return image.mode == "P"
