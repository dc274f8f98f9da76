"""A configuration as YAML, and the difference between two of them."""

import dataclasses
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin

import yaml
from pydantic import TypeAdapter, ValidationError

from atal_ray.config import Config
from atal_ray.config.section import Section
from atal_ray.errors import CampaignError, ConfigError
from atal_ray.store.folder import Folder

CONFIG = "config.yaml"
Tree = TypeVar("Tree", bound=Section)
_reader = cache(TypeAdapter)  # making one takes a tenth of a second


def to_yaml(config: Section) -> str:
    """The complete tree, one field a line, in the order of the dataclasses."""
    return yaml.safe_dump(_plain(dataclasses.asdict(config)), sort_keys=False)  # type: ignore[call-overload]


def from_yaml(text: str, name: str = "configuration") -> Config:
    """The configuration of a campaign that `text` holds; see `tree_from_yaml`."""
    return tree_from_yaml(Config, text, name)


def tree_from_yaml(kind: type[Tree], text: str, name: str) -> Tree:
    """The tree that `text` holds; fields it leaves out keep their defaults.

    Raises:
        ConfigError: the text is no YAML mapping, or a field is unknown or of the wrong type.
    """
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{name} is not valid YAML: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{name} does not hold a mapping of fields")
    return from_tree(kind, data, name)


def from_tree(kind: type[Tree], data: dict[str, Any], name: str) -> Tree:
    """The tree of nested mappings as a configuration; ConfigError as in `tree_from_yaml`.

    Args:
        kind: class of the tree.
        data: the mappings.
        name: what to call them in a message; empty where the caller says it.
    """
    where = f"{name}: " if name else ""
    try:
        tree: Tree = _reader(kind).validate_python(data)  # type: ignore[arg-type]  # a class is hashable
    except ValidationError as error:
        sentences = dict.fromkeys(
            _refusal(kind, data, list(found["loc"]))
            or f"{'.'.join(map(str, found['loc']))}: {found['msg']} (it is {found['input']!r})"
            for found in error.errors()
        )
        raise ConfigError(where + "; ".join(sentences)) from error
    except ConfigError as error:
        raise ConfigError(f"{where}{error}") from error
    return tree


def _refusal(kind: type[Section], data: Any, location: list[Any]) -> str:
    """The section's own sentence on the field at a location; empty where its value is not out of bounds."""
    name, *rest = location
    if not isinstance(data, dict) or name not in kind.field_types or name not in data:
        return ""
    hint = kind.field_types[name]
    inner = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    if isinstance(inner, type) and issubclass(inner, Section):
        return _refusal(inner, data[name], rest) if rest else ""
    return kind.refusal(name, data[name])


def load(file: Path) -> Config:
    """The configuration in a YAML file."""
    try:
        return from_yaml(file.read_text(), str(file))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from error


def of_campaign(folder: Folder) -> Config:
    """The configuration that the campaign in a folder was started with.

    Raises:
        CampaignError: the folder holds none.
    """
    if not folder.exists(CONFIG):
        raise CampaignError(f"{folder.uri} is no campaign: it holds no {CONFIG}")
    return saved(folder, CONFIG, Config)


def saved(folder: Folder, name: str, kind: type[Tree]) -> Tree:
    """The tree that a folder was started with."""
    return tree_from_yaml(kind, folder.read_bytes(name).decode(errors="replace"), folder.where(name))


def absolute(config: Config) -> Config:
    """The configuration with absolute paths: a Ray worker, or a later call, has another working folder."""
    data, weights, shared = config.data, config.network.weights, config.resources.superpixels
    return replace(
        config,
        data=replace(
            data,
            train=data.train and path(data.train),
            tests=tuple(path(name) for name in data.tests),
            subset=data.subset and path(data.subset),
            points=data.points and path(data.points),
        ),
        network=replace(config.network, weights=weights if weights in (None, "random") else path(weights)),
        resources=replace(config.resources, superpixels=shared and path(shared)),
    )


def path(name: str) -> str:
    """A path made absolute; a URI as it is."""
    return Folder.at(name).uri


def keep(folder: Folder, name: str, tree: Section, *, final: bool) -> None:
    """Save a tree in a folder as YAML.

    Args:
        folder: where.
        name: of the file.
        tree: the configuration or plan.
        final: whether work with the saved tree has begun: then it stays, and this one must equal it.

    Raises:
        CampaignError: with the fields that differ, but for `resources`, which may change.
    """
    if not (final and folder.exists(name)):
        folder.write_bytes(name, to_yaml(tree).encode())
        return
    changed = differences(saved(folder, name, type(tree)), tree)
    if changed:
        raise CampaignError(
            f"{folder.uri} was started with another configuration; use a new folder, or undo:\n  "
            + "\n  ".join(changed)
        )


def differences(old: Section, new: Section) -> list[str]:
    """The fields that differ, as `path: old -> new`; `resources` may change freely and is left out."""
    trees = (dataclasses.asdict(tree) for tree in (old, new))  # type: ignore[call-overload]
    before, after = (dict(_leaves(tree)) for tree in trees)
    free = {"resources", *type(new).may_change}
    return [
        f"{path}: {before[path]!r} -> {after[path]!r}"
        for path in before
        if free.isdisjoint(path.split(".")) and before[path] != after[path]
    ]


def _plain(value: Any) -> Any:
    """Tuples as lists, which YAML can say."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _leaves(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
