"""Stage: a checkpoint and images -> saliency maps as 8-bit PNG (Ray Data)."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import torch

from atal_ray import networks
from atal_ray.config.evaluation import EvaluationConfig
from atal_ray.data.images import read_image, resize
from atal_ray.errors import DataError
from atal_ray.files import Folder
from atal_ray.metrics.saliency_map import to_uint8
from atal_ray.networks.inputs import choose_device, to_batch
from atal_ray.stages.evaluate import predict as predict_logits
from atal_ray.stages.evaluate import saliency_maps
from atal_ray.stages.ray_session import gpus_per_actor
from atal_ray.stages.shards import Pool, run_shards, shard_rows

IMAGES, SHARD = "images.parquet", 64
IMAGE_SCHEMA = pa.schema([("image_id", pa.string()), ("image", pa.string())])
Row = dict[str, Any]


def predict_maps(checkpoint: str, images: Mapping[str, Path], out: Folder, config: EvaluationConfig, actors: int) -> dict[str, str]:
    """Write ID.png for each image that has none yet: logits are resized (bilinear) to the image, then sigmoid, then rounded.

    Returns:
        Why an image has no map, by id.
    """
    present = set(out.names())
    rows = [{"image_id": image_id, "image": str(path)} for image_id, path in images.items() if f"{image_id}.png" not in present]
    out.write_table(IMAGES, pa.Table.from_pylist(rows, IMAGE_SCHEMA))
    errors: dict[str, str] = {}
    for row in run_shards(
        shard_rows(len(rows), SHARD),
        Pool(actors, 1, gpus_per_actor(config.resources)),
        load=None,
        actor=PredictShard,
        arguments={"checkpoint": checkpoint, "out": out, "config": config},
        title=f"predicting by {Path(checkpoint).name}",
        total=len(rows),
    ):
        errors.update((str(image_id), str(reason)) for image_id, reason in row["errors"])
    return errors


class PredictShard:
    """An actor that holds a network and writes the maps of a shard."""

    def __init__(self, checkpoint: str, out: Folder, config: EvaluationConfig) -> None:
        torch.set_num_threads(1)
        self.checkpoint, self.out, self.config = checkpoint, out, config
        self.device = choose_device(config.resources)

    @cached_property
    def network(self) -> networks.SaliencyNetwork:
        """Read at the first shard: Ray hides what a constructor raises."""
        network = networks.build(self.config.network, load_weights=False)
        networks.load_snapshot(network, self.checkpoint)
        return network.to(self.device).eval().requires_grad_(False)

    def __call__(self, row: Row) -> Row:
        """Predict a shard in batches; an image that cannot be read is an entry of `errors`."""
        errors: list[list[str]] = []
        rows = self.out.read_rows(IMAGES, row["start"], row["stop"]).to_pylist()
        for start in range(0, len(rows), self.config.batch_size):
            found = []
            for item in rows[start : start + self.config.batch_size]:
                try:
                    found.append((item["image_id"], read_image(item["image"])))
                except DataError as error:
                    errors.append([item["image_id"], str(error)])
            self._write(found)
        return {"images": row["stop"] - row["start"], "errors": errors}

    def _write(self, found: list[tuple[str, np.ndarray[Any, np.dtype[np.uint8]]]]) -> None:
        if not found:
            return
        batch = to_batch(np.stack([resize(image, self.config.size) for _, image in found]), self.device)
        logits = predict_logits([self.network], batch)
        for index, (image_id, image) in enumerate(found):
            saliency = to_uint8(saliency_maps(logits[:, index], image.shape[:2])[0].numpy(), image_id)
            self.out.write_bytes(f"{image_id}.png", cv2.imencode(".png", saliency)[1].tobytes())
