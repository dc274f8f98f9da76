"""`atal predict`: saliency maps of any images by the network of a finished campaign."""

from dataclasses import dataclass
from pathlib import Path

from atal_ray.campaign.finish.delivered_network import WEIGHTS, described, folder_of, read
from atal_ray.config.bounds import Images, NotNegative, ObjectStoreMib
from atal_ray.config.evaluation import EvaluationConfig, Gpus
from atal_ray.config.resources import Backend
from atal_ray.config.section import Section, require
from atal_ray.data.layout import find_pairs
from atal_ray.errors import counted
from atal_ray.evaluation.compare import pool_of
from atal_ray.evaluation.predict import predict_maps, require_maps
from atal_ray.runtime.session import session
from atal_ray.store.folder import Folder
from atal_ray.store.lock import locked
from atal_ray.store.uri import is_uri

OF_MASKS = ("image without mask", "mask without image")
"""What may be wrong with a folder whose masks are not read."""


@dataclass(frozen=True, kw_only=True)
class PredictConfig(Section):
    """How images are predicted."""

    batch_size: Images = 16
    """Images in a forward pass."""
    backend: Backend = "ray"
    """ray: a cluster or this machine's own Ray; inline: all in this process."""
    actors: NotNegative = 0
    """Actors that predict, one CPU each; 0: one for each CPU of the cluster."""
    gpus: Gpus = "auto"
    """Predict on the cluster's GPUs where there are any, or on none."""
    object_store_mib: ObjectStoreMib = 256
    """Ray's object store when the command starts its own Ray."""


def predict_images(network: str, images: str, out: str, config: PredictConfig) -> tuple[int, dict[str, str]]:
    """Write ID.png into a folder for each image of another; maps that are there are not made again.

    Args:
        network: folder of an `atal finish`, or of its campaign.
        images: folder of images, in any layout; masks are not read.
        out: folder of the maps.
        config: how.

    Returns:
        How many images have a map now, and why each of the others has none, by its id.

    Raises:
        CampaignError, CheckpointError, ConfigError, DataError: what is wrong with the network or a folder; or
            another process predicts into it.
    """
    folder = folder_of(network)
    where = f"{folder.uri}: prediction reads the weights from a disk; copy the folder to one first"
    require(folder.is_local, where)
    require(
        not is_uri(images), f"{images} is a URI: prediction reads images from a disk; copy them to one first"
    )
    read(folder)  # wrong weights are found before Ray is started
    found, known = find_pairs(images), described(folder)
    settings = EvaluationConfig(
        network=known.network,
        size=known.size,
        batch_size=config.batch_size,
        backend=config.backend,
        actors=config.actors,
        gpus=config.gpus,
        object_store_mib=config.object_store_mib,
    )
    paths = {image_id: image.local_path for image_id, image in found.images.items()}
    maps, weights = Folder.at(out), Path(folder.where(WEIGHTS))
    require_maps(maps)  # before a lock is put there
    with locked(maps), session(config.backend, config.actors + 1, config.object_store_mib):
        errors = predict_maps(weights, paths, maps, settings, pool_of(settings, gpus=config.gpus))
    errors |= {bad.image_id: f"{bad.file} {bad.reason}" for bad in found.problems if bad.kind not in OF_MASKS}
    return len(paths.keys() - errors.keys()), errors


def summary(done: int, errors: dict[str, str], out: str) -> list[str]:
    """What was predicted, and each image that was not."""
    left = [f"no map of {image_id}: {reason}" for image_id, reason in sorted(errors.items())]
    return [f"{counted(done, 'map')} in {out}", *left]
