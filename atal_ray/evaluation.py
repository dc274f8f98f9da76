"""An evaluation: maps of many methods against the masks of many test sets, each pair of them scored once."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import ray

from atal_ray import config_file
from atal_ray.campaign import locked
from atal_ray.config.evaluation import EvaluationConfig
from atal_ray.data.layout import find_pairs
from atal_ray.data.map_folder import match_maps
from atal_ray.data.mask_folder import MaskListing, find_masks
from atal_ray.errors import CheckpointError, ConfigError, DataError
from atal_ray.evaluation_folder import LISTED, NOTE_SCHEMA, PAIR_SCHEMA, PAIRS
from atal_ray.files import Folder
from atal_ray.report.score_report import write_score_report
from atal_ray.stages.predict import predict_maps
from atal_ray.stages.ray_session import local_or_given_ray
from atal_ray.stages.score_maps import Rules, score_maps

SETTINGS, MADE_BY = "evaluation.yaml", "made_by.json"
Named = dict[str, Path]


def evaluate(config: EvaluationConfig, folder: Path) -> list[str]:
    """Score every method on every test set, or what is new or changed since the last call, and write tables and curves.

    Args:
        config: may name more methods and sets than before; what is scored in another way is scored again.
        folder: a local folder, or one on a mount that every machine sees.

    Returns:
        A sentence for each method and set where maps or masks are missing, unreadable or left over.

    Raises:
        ConfigError, DataError, CheckpointError: what is wrong with the names, a folder, or a checkpoint.
    """
    folder = folder.expanduser().resolve()
    root, sets, methods = Folder(str(folder)), named(config.masks, "masks"), named(config.maps, "maps")
    checkpoints = named(config.checkpoints, "checkpoints")
    if not sets or not (methods or checkpoints):
        raise ConfigError("nothing to evaluate: give test sets with --masks, and methods with --maps or --checkpoints")
    twice = methods.keys() & checkpoints.keys()
    if twice:
        raise ConfigError(f"two methods are called {min(twice)}: give one another name, as NAME=PATH")
    masks = {name: _masks(path) for name, path in sets.items()}
    with locked(folder):
        root.write_bytes(SETTINGS, config_file.to_yaml(config).encode())
        with local_or_given_ray(config.actors + 1, config.resources):
            actors = config.actors or max(1, int(ray.cluster_resources().get("CPU", 1)))
            for method, checkpoint in checkpoints.items():
                for name, path in sets.items():
                    _predict(checkpoint, name, path, root / "maps" / method / name, config, actors)
                methods[method] = folder / "maps" / method
            places = {(name, method): root / "scores" / name / method for name in sets for method in methods}
            for (name, method), place in places.items():
                _list_pairs(place, masks[name], _maps_of(methods[method], name, len(sets)), config)
            score_maps(list(places.values()), Rules(config.interpolation, config.mask_threshold), actors)
        return write_score_report(root, places, config)


def named(entries: tuple[str, ...], field: str) -> Named:
    """Paths by their names: NAME=PATH, or the last part of the path without a suffix that marks weights."""
    found: Named = {}
    for entry in entries:
        name, equals, path = entry.partition("=")
        if not equals or Path(entry).exists():
            name, path = "", entry
        place = Path(path).expanduser().resolve()
        name = name or (place.stem if place.is_file() else place.name)
        if "/" in name or name in ("", ".", ".."):
            raise ConfigError(f"{field}: {name!r} cannot name a folder of the result; give another name, as NAME=PATH")
        if name in found:
            raise ConfigError(f"{field} names two of {name}: {found[name]} and {place}; give one another name, as NAME=PATH")
        found[name] = place
    return found


def _masks(path: Path) -> MaskListing:
    listing = find_masks(path)
    if not listing.masks:
        raise DataError(f"{path} holds no mask")
    return listing


def _maps_of(method: Path, test_set: str, sets: int) -> Path:
    """The folder of a method's maps of one set: the subfolder of its name, or the folder itself where there is one set."""
    if (method / test_set).is_dir():
        return method / test_set
    if sets == 1:
        return method
    raise DataError(f"{method} has no folder {test_set}: with several test sets, a method has a folder of maps for each, by its name")


def _predict(checkpoint: Path, name: str, path: Path, out: Folder, config: EvaluationConfig, actors: int) -> None:
    images = find_pairs(path).images
    if not checkpoint.is_file():
        raise CheckpointError(f"{checkpoint}: no such file, expected a PyTorch state dict")
    if not images:
        raise DataError(f"{path} holds no images to predict {name} from: give the dataset, not its masks alone")
    status = checkpoint.stat()
    made_by = {"checkpoint": str(checkpoint), "bytes": status.st_size, "changed": status.st_mtime_ns, "size": config.size}
    made_by |= {"network": config.network.name, "stride_on": config.network.stride_on}
    if not (out.exists(MADE_BY) and out.read_json(MADE_BY) == made_by):
        out.delete()
        out.write_json(MADE_BY, made_by)
    for image_id, reason in predict_maps(str(checkpoint), images, out, config, actors).items():
        print(f"{name}: no map of {image_id}: {reason}", flush=True)


def _list_pairs(place: Folder, masks: MaskListing, maps: Path, config: EvaluationConfig) -> None:
    """Write which map belongs to which mask; scores of other pairs, other bytes or other rules are dropped."""
    listing = match_maps(masks.masks, maps)
    rows = [_pair(image_id, path, masks.masks[image_id]) for image_id, path in listing.maps.items()]
    rules = {b"interpolation": config.interpolation.encode(), b"mask_threshold": str(config.mask_threshold).encode()}
    pairs = pa.Table.from_pylist(rows, PAIR_SCHEMA).replace_schema_metadata(rules)
    notes = [
        *({"image_id": image_id, "kind": "missing", "note": f"{maps} has no map of {image_id}"} for image_id in listing.missing),
        *({"image_id": Path(name).stem, "kind": "extra", "note": f"{maps}/{name} belongs to no mask"} for name in listing.extra),
        *(
            {"image_id": bad.image_id, "kind": "unreadable", "note": f"{bad.file} {bad.reason}"}
            for bad in (*listing.problems, *masks.problems)
        ),
    ]
    if not (place.exists(PAIRS) and place.read_table(PAIRS).equals(pairs, check_metadata=True)):
        place.delete()
        place.write_table(PAIRS, pairs)
    place.write_table(LISTED, pa.Table.from_pylist(notes, NOTE_SCHEMA))


def _pair(image_id: str, path: Path, mask: Path) -> dict[str, Any]:
    status, of_mask = path.stat(), mask.stat()
    changed = max(status.st_mtime_ns, of_mask.st_mtime_ns)
    return {"image_id": image_id, "map": str(path), "mask": str(mask), "bytes": status.st_size + of_mask.st_size, "changed": changed}
