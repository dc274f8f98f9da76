from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from atal_ray.config import Config
from atal_ray.data.images import read_mask
from atal_ray.data.manifest import build_manifest
from atal_ray.labels.points import POINT_SCHEMA, PointIndex
from atal_ray.labels.superpixel_cache import SuperpixelCache
from atal_ray.store.folder import Folder
from atal_ray.training.samples import Samples

MakeSamples = Callable[..., Samples]


@pytest.fixture(scope="session")
def manifest(synth_folder: Path) -> pa.Table:
    return build_manifest(synth_folder).table


@pytest.fixture(scope="session")
def points(manifest: pa.Table, synth_folder: Path) -> pa.Table:
    """Three points an image, with the labels of the masks."""
    rows = []
    for record in manifest.to_pylist():
        mask = read_mask(synth_folder / record["mask"])
        for order, (x, y) in enumerate(
            [(5, 7), (record["width"] // 2, record["height"] // 2), (record["width"] - 9, 20)]
        ):
            origin = {"round": 0, "order": order, "score": 0.0, "superpixel": 0, "source": "seed"}
            rows.append({"image_id": record["image_id"], "x": x, "y": y, "label": int(mask[y, x]), **origin})
    return pa.Table.from_pylist(rows, POINT_SCHEMA)


@pytest.fixture
def make_samples(manifest: pa.Table, points: pa.Table, synth_folder: Path, tmp_path: Path) -> MakeSamples:
    """Samples of the first images with their points, and superpixels in a folder of their own."""

    def make(config: Config, round_number: int = 0, images: int = 8) -> Samples:
        cache = SuperpixelCache(Folder(str(tmp_path / "superpixels")), config.regions)
        rows = manifest.slice(0, images)
        return Samples(rows, PointIndex(points), cache, synth_folder, config, round_number)

    return make
