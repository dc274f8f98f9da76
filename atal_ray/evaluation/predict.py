"""Stage: a checkpoint and images -> saliency maps as 8-bit PNG (Ray Data)."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from atal_ray import networks
from atal_ray.config.evaluation import EvaluationConfig
from atal_ray.data.images import read_image, resize
from atal_ray.errors import CheckpointError, ConfigError, DataError
from atal_ray.evaluation.evaluation_folder import SHARD
from atal_ray.inference.saliency import predict as predict_logits
from atal_ray.inference.saliency import saliency_maps
from atal_ray.metrics.saliency_map import png, to_uint8
from atal_ray.networks.inputs import choose_device, to_batch
from atal_ray.runtime.bad_images import BadImages, require_kept
from atal_ray.runtime.shards import Pool, run_shards, shard_rows
from atal_ray.store.folder import Folder
from atal_ray.store.lease import LOCK

MADE_BY, TODO, DONE = "made_by.json", "todo.parquet", "done.json"
TODO_SCHEMA = pa.schema([("image_id", pa.string()), ("image", pa.string())])
REQUESTS = 16
"""To a store at once."""
Row = dict[str, Any]


def predict_maps(
    checkpoint: Path, images: Mapping[str, Path], out: Folder, config: EvaluationConfig, pool: Pool
) -> dict[str, str]:
    """Write ID.png for each image that has none, or has changed since: logits resized (bilinear) to the
    image, sigmoid, rounded.

    Maps of another checkpoint, network or size are dropped first.

    Args:
        checkpoint: weights of `config.network`.
        images: files by id.
        out: the folder of the maps; empty, or made by this function before.
        config: network, size and batch.
        pool: the actors that predict.

    Returns:
        Why an image has no map, by id.

    Raises:
        ConfigError: the folder holds files that this function did not make.
        CheckpointError: weights that cannot be used.
    """
    _start(checkpoint, out, config)
    present, known = set(out.names()), out.read_json(DONE) if out.exists(DONE) else {}
    state: dict[str, list[int]] = {}
    errors: dict[str, str] = {}
    for image_id, path in images.items():
        try:
            status = path.stat()
            state[image_id] = [status.st_size, status.st_ctime_ns]
        except OSError as error:
            errors[image_id] = f"{path} cannot be read: {error.strerror}"
    todo = [
        image_id
        for image_id in state
        if f"{image_id}.png" not in present or known.get(image_id, state[image_id]) != state[image_id]
    ]
    out.write_table(
        TODO,
        pa.table(
            {"image_id": todo, "image": [str(images[image_id]) for image_id in todo]}, schema=TODO_SCHEMA
        ),
    )
    for row in run_shards(
        shard_rows(len(todo), SHARD),
        pool,
        load=None,
        actor=PredictShard,
        arguments={"checkpoint": str(checkpoint), "out": out, "config": config},
        title=f"predicting by {checkpoint.name}",
        total=len(todo),
        bad=BadImages.of_table(out, TODO, "skip"),
    ):
        errors.update((str(image_id), str(reason)) for image_id, reason in row["errors"])
    for image_id in errors:
        out.remove(f"{image_id}.png")
    out.write_json(DONE, state)
    return errors


def require_maps(out: Folder) -> None:
    """Raise ConfigError for a folder with files that `predict_maps` did not make."""
    if set(out.names()) - {LOCK} and not out.exists(MADE_BY):
        raise ConfigError(
            f"{out.uri} holds files that were not predicted here: choose another folder for the result"
        )


def _start(checkpoint: Path, out: Folder, config: EvaluationConfig) -> None:
    """Make the folder ready for the maps of this checkpoint."""
    if not checkpoint.is_file():
        raise CheckpointError(f"{checkpoint}: no such file, expected a PyTorch state dict")
    status = checkpoint.stat()
    made_by = {
        "checkpoint": str(checkpoint),
        "bytes": status.st_size,
        "changed": status.st_ctime_ns,
        "size": config.size,
    }
    made_by |= {"network": config.network.name, "stride_on": config.network.stride_on}
    if out.exists(MADE_BY) and out.read_json(MADE_BY) == made_by:
        return
    require_maps(out)
    with ThreadPoolExecutor(REQUESTS) as pool:
        list(pool.map(out.remove, set(out.names()) - {LOCK, MADE_BY}))
    out.write_json(MADE_BY, made_by)  # until then the folder is that of the maps before


class PredictShard:
    """An actor that holds a network and writes the maps of a shard."""

    def __init__(self, checkpoint: str, out: Folder, config: EvaluationConfig) -> None:
        torch.set_num_threads(1)
        self.checkpoint, self.out, self.config = checkpoint, out, config
        self.device = choose_device(config.gpus)

    @cached_property
    def network(self) -> networks.SaliencyNetwork:
        """Read at the first shard: Ray hides what a constructor raises."""
        network = networks.build(self.config.network, load_weights=False)
        networks.load_snapshot(network, self.checkpoint)
        return network.to(self.device).eval().requires_grad_(False)

    def __call__(self, row: Row) -> Row:
        """Predict a shard in batches; an image that cannot be read is an entry of `errors`."""
        errors: list[list[str]] = []
        rows = self.out.read_rows(TODO, row["start"], row["stop"]).to_pylist()
        for start in range(0, len(rows), self.config.batch_size):
            found = []
            for number, item in enumerate(rows[start : start + self.config.batch_size], row["start"] + start):
                try:
                    require_kept(row, number)
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
            saliency = to_uint8(saliency_maps(logits[:, index], image.shape[:2])[0].cpu().numpy(), image_id)
            self.out.write_bytes(f"{image_id}.png", png(saliency))
