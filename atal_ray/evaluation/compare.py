"""An evaluation: maps of many methods against the masks of many test sets, each pair of them scored once."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from atal_ray import networks
from atal_ray.campaign.life import run_in
from atal_ray.config.evaluation import EvaluationConfig
from atal_ray.data.layout import find_pairs
from atal_ray.errors import ConfigError, DataError, meant
from atal_ray.evaluation.evaluation_folder import (
    FORMAT,
    LISTED,
    METRICS,
    NOTE_SCHEMA,
    PAIR_SCHEMA,
    PAIRS,
    SHARD,
)
from atal_ray.evaluation.map_folder import match_maps
from atal_ray.evaluation.mask_folder import MaskListing, find_masks
from atal_ray.evaluation.predict import predict_maps
from atal_ray.evaluation.score_maps import Rules, score_maps
from atal_ray.evaluation.score_report import write_score_report
from atal_ray.metrics.metric_names import METRIC_LABELS
from atal_ray.runtime.capacity import actors_at_once, gpus_per_actor
from atal_ray.runtime.session import session
from atal_ray.runtime.shards import Pool
from atal_ray.store.folder import Folder

SETTINGS = "evaluation.yaml"
_NAME = re.compile(r"[^./\x00-\x1f\x7f][^/\x00-\x1f\x7f]{0,99}")  # of a folder, and of a column in a table
Named = dict[str, Path]


def evaluate(config: EvaluationConfig, folder: Path) -> list[str]:
    """Score every method on every test set, or what is new or changed since the last call, and write tables
    and curves.

    Args:
        config: may name more methods and sets than before; what is scored in another way is scored again.
        folder: a local folder, or one on a mount that every machine sees.

    Returns:
        A sentence for each method and set where maps or masks are missing, unreadable or left over.

    Raises:
        ConfigError, DataError, CheckpointError: what is wrong with the names, a folder, or a checkpoint.
    """
    sets, methods = named(config.masks, "masks"), named(config.maps, "maps")
    checkpoints = named(config.checkpoint, "checkpoint")
    _check_names(sets, methods, checkpoints, config)
    for checkpoint in checkpoints.values():  # a wrong one is found before Ray is started
        networks.load_snapshot(networks.build(config.network, load_weights=False), checkpoint)
    folder = folder.expanduser().resolve()
    root, masks = Folder(str(folder)), {name: find_masks(path) for name, path in sets.items()}
    with run_in(root, config, SETTINGS, started=False) as run:  # another call may name more methods
        with session(config.backend, config.actors + 1, config.object_store_mib):
            unpredicted: dict[tuple[str, str], dict[str, str]] = {}
            for method, checkpoint in checkpoints.items():
                for name, path in sets.items():
                    images, out = _images(name, path, masks[name]), root / "maps" / method / name
                    unpredicted[name, method] = predict_maps(
                        checkpoint, images, out, config, pool_of(config, gpus=config.gpus)
                    )
                methods[method] = folder / "maps" / method
            places = {(name, method): root / "scores" / name / method for name in sets for method in methods}
            for (name, method), place in places.items():
                maps = maps_of(methods[method], name, len(sets))
                _list_pairs(place, masks[name], maps, unpredicted.get((name, method), {}), config)
            score_maps(
                list(places.values()),
                Rules(config.interpolation, config.mask_threshold),
                pool_of(config),
            )
        return run.finish(lambda: write_score_report(root, places, config))


def _check_names(sets: Named, methods: Named, checkpoints: Named, config: EvaluationConfig) -> None:
    if not sets or not (methods or checkpoints):
        raise ConfigError(
            "nothing to evaluate: give test sets with --masks, and methods with --maps or --checkpoint"
        )
    twice = methods.keys() & checkpoints.keys()
    if twice:
        raise ConfigError(f"two methods are called {min(twice)}: give one another name, as NAME=PATH")
    unknown = [name for name in config.metrics if name not in METRIC_LABELS]
    if unknown:
        listed = ", ".join(METRIC_LABELS)
        hint = meant(unknown[0], METRIC_LABELS) or ";"
        raise ConfigError(f"metrics names {unknown[0]}{hint} the metrics are {listed}")
    if config.relative_to and config.metrics and "max_f" not in config.metrics:
        raise ConfigError("relative-to gives shares of max_f: name it in metrics too")
    known = methods.keys() | checkpoints.keys()
    for field, wanted in (
        ("relative-to", [config.relative_to] if config.relative_to else []),
        ("compare", config.compare),
    ):
        unknown = [name for name in wanted if name not in known]
        if unknown:
            raise ConfigError(f"{field} names {unknown[0]}, but the methods are {', '.join(sorted(known))}")


def pool_of(config: EvaluationConfig, gpus: str = "none") -> Pool:
    """The actors that predict (on GPUs, if there are any) or score."""
    actors = actors_at_once(config.backend, config.actors, gpus=gpus)
    inline = config.backend == "inline"
    return Pool(actors, 1, 0 if inline else gpus_per_actor(gpus), backend=config.backend)


def named(entries: tuple[str, ...], field: str) -> Named:
    """Paths by their names: NAME=PATH, or the last part of the path, without the suffix of a file."""
    found: Named = {}
    for entry in entries:
        try:
            name, equals, path = entry.partition("=")
            if not equals or Path(entry).exists():
                name, path = "", entry
            place = Path(path).expanduser().resolve()
            name = name or (place.stem if place.is_file() else place.name)
        except (OSError, RuntimeError, ValueError) as error:
            raise ConfigError(f"{field}: {entry!r} is no path: {error}") from error
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"{field}: {name!r} cannot name a folder of the result; give another name, as NAME=PATH"
            )
        if name in found:
            raise ConfigError(
                f"{field} names two of {name}: {found[name]} and {place}; give one another name, as NAME=PATH"
            )
        found[name] = place
    return found


def maps_of(method: Path, test_set: str, sets: int) -> Path:
    """The folder of a method's maps of one set: the subfolder with its name, or, for a single set, itself."""
    if (method / test_set).is_dir():
        return method / test_set
    if sets == 1:
        return method
    raise DataError(
        f"{method} has no folder {test_set}: "
        "with several test sets, a method has a folder of maps for each, by its name"
    )


def _images(name: str, path: Path, masks: MaskListing) -> Named:
    """The images of a test set that have a mask."""
    pairs = find_pairs(path)
    if not pairs.labelled:
        raise DataError(
            f"{path} holds no images to predict {name} from: give the dataset, not its masks alone"
        )
    return {image_id: image.local_path for image_id, image in pairs.images.items() if image_id in masks.masks}


def _list_pairs(
    place: Folder, masks: MaskListing, maps: Path, unpredicted: Mapping[str, str], config: EvaluationConfig
) -> None:
    """Write which map belongs to which mask; drop scores of other pairs, other files or other rules."""
    listing = match_maps(masks.masks, maps)
    notes = [
        *(
            _note(image_id, "missing", unpredicted.get(image_id, f"{maps} has no map of {image_id}"))
            for image_id in listing.missing
        ),
        *(_note(Path(name).stem, "extra", f"{maps}/{name} belongs to no mask") for name in listing.extra),
        *(
            _note(bad.image_id, "unreadable", f"{bad.file} {bad.reason}")
            for bad in (*listing.problems, *masks.problems)
        ),
    ]
    rows = []
    for image_id, path in listing.maps.items():
        try:
            rows.append({"image_id": image_id, **_file("map", path), **_file("mask", masks.masks[image_id])})
        except OSError as error:
            notes.append(_note(image_id, "unreadable", f"{error.filename} cannot be read: {error.strerror}"))
    rules = {
        "interpolation": config.interpolation,
        "mask_threshold": config.mask_threshold,
        "shard": SHARD,
        "format": FORMAT,
    }
    metadata = {key.encode(): str(value).encode() for key, value in rules.items()}
    pairs = pa.Table.from_pylist(rows, PAIR_SCHEMA).replace_schema_metadata(metadata)
    if not (place.exists(PAIRS) and place.read_table(PAIRS).equals(pairs, check_metadata=True)):
        for name in (METRICS, PAIRS):  # first what says that the rest is whole
            place.remove(name)
        place.delete()
        place.write_table(PAIRS, pairs)
    place.write_table(LISTED, pa.Table.from_pylist(notes, NOTE_SCHEMA))


def _file(kind: str, path: Path) -> dict[str, Any]:
    status = path.stat()
    return {kind: str(path), f"{kind}_bytes": status.st_size, f"{kind}_changed": status.st_ctime_ns}


def _note(image_id: str, kind: str, note: str) -> dict[str, str]:
    return {"image_id": image_id, "kind": kind, "note": note}
