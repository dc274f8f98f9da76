"""A configuration as YAML, and the difference between two of them."""

import dataclasses
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from atal_ray.config import Config
from atal_ray.config.field_names import named
from atal_ray.config.plugins import specialised
from atal_ray.config.section import Section
from atal_ray.errors import CampaignError, ConfigError, command
from atal_ray.store.folder import Folder

CONFIG = "config.yaml"
KEPT = ".kept"
"""What the name of a second copy ends with, which nobody edits."""
Tree = TypeVar("Tree", bound=Section)
_reader = cache(TypeAdapter)  # making one takes a tenth of a second
_Loader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C: ten times as fast


class _OnceLoader(_Loader):  # type: ignore[misc, valid-type]
    """Refuses a field that is given twice, of which YAML would keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping of a node."""
        seen: set[Any] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the field {key.value} is given twice", key.start_mark
                )
            seen.add(key.value)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


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
        data = yaml.load(text, _OnceLoader)
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
        kind = specialised(kind, data)
    except ConfigError as error:
        raise ConfigError(f"{where}{error}") from error
    data, unknown = named(kind, data)
    try:
        tree: Tree = _reader(kind).validate_python(data)  # type: ignore[arg-type]  # a class is hashable
    except ValidationError as error:
        sentences = dict.fromkeys(
            _refusal(kind, data, list(found["loc"]))
            or f"{'.'.join(map(str, found['loc']))}: {found['msg']} (it is {found['input']!r})"
            for found in error.errors()
        )
        raise ConfigError(where + "; ".join([*unknown, *sentences])) from error
    except ConfigError as error:
        raise ConfigError(where + "; ".join([*unknown, str(error)])) from error
    if unknown:
        raise ConfigError(where + "; ".join(unknown))
    return tree


def _refusal(kind: type[Section], data: Any, location: list[Any]) -> str:
    """The section's own sentence on the field at a location; empty where its value is not out of bounds."""
    name, *rest = location
    if not isinstance(data, dict) or name not in kind.field_types or name not in data:
        return ""
    section = kind.section(name)
    if section is not None:
        return _refusal(section, data[name], rest) if rest else ""
    return kind.refusal(name, data[name])


def load(file: Path) -> Config:
    """The configuration in a YAML file."""
    try:
        return from_yaml(file.read_text(), str(file))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from error


def of_campaign(folder: Folder) -> Config:
    """The configuration that the campaign in a folder last went on with.

    Raises:
        CampaignError: the folder holds none.
    """
    if not folder.exists(CONFIG):
        raise CampaignError(f"{folder.uri} is no campaign: it holds no {CONFIG}")
    return kept(folder, CONFIG, Config)


def saved(folder: Folder, name: str, kind: type[Tree]) -> Tree:
    """The tree in a file of a folder."""
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
        report=replace(config.report, compare=tuple(path(name) for name in config.report.compare)),
        network=replace(config.network, weights=weights if weights in (None, "random") else path(weights)),
        resources=replace(config.resources, superpixels=shared and path(shared)),
    )


def path(name: str) -> str:
    """A path made absolute; a URI as it is."""
    return Folder.at(name).uri


def keep(folder: Folder, name: str, tree: Section) -> None:
    """Save a tree in a folder as YAML, twice: a file to read and to edit, and one of what was done."""
    for file in (name, f"{name}{KEPT}"):
        if not _holds(folder, file, tree):
            folder.write_bytes(file, to_yaml(tree).encode())


def _holds(folder: Folder, name: str, tree: Section) -> bool:
    try:
        return folder.exists(name) and saved(folder, name, type(tree)) == tree
    except ConfigError:  # a person has made something else of it
        return False


def kept(folder: Folder, name: str, kind: type[Tree]) -> Tree:
    """The tree that a folder last went on with, whatever a person has made of the file since."""
    return saved(folder, f"{name}{KEPT}" if folder.exists(f"{name}{KEPT}") else name, kind)


def require_equal(folder: Folder, old: Section, new: Section) -> None:
    """Refuse a tree that differs from the one of a folder in what may not change.

    Raises:
        CampaignError: with the fields that differ, and the way to have them.
    """
    changed = differences(old, new)
    if not changed:
        return
    fields = dict(item.split(": ", 1) for item in changed)
    way_on = ""
    if isinstance(new, Config):
        options = [word for path in fields for word in _option(path, new)]
        way_on = (
            ". Another campaign can begin with the points of this one, and with its rounds as far as the "
            f"training is equal: {command('fork', folder.uri, 'NEW', *options)}"
        )
    raise CampaignError(
        f"{folder.uri} was started with another configuration; use a new folder, or undo:\n  "
        + "\n  ".join(changed)
        + way_on
    )


def differences(old: Section, new: Section, *, free: bool = False) -> list[str]:
    """The fields that differ, as `path: old -> new`.

    Args:
        old: the tree before.
        new: the tree now, of the same class.
        free: also name the fields that may change: `resources`, and `may_change` of each section.
    """
    return list(_differences(old, new, free, ""))


def _differences(old: Section, new: Section, free: bool, prefix: str) -> Iterator[str]:
    for name in type(new).field_types:
        if not free and (name == "resources" or name in type(new).may_change):
            continue
        before, after = getattr(old, name, None), getattr(new, name)  # settings of another plug-in
        if before is None and isinstance(after, Section):  # settings of a plug-in that is new
            before = type(after)()
        if isinstance(before, Section) and isinstance(after, Section):
            yield from _differences(before, after, free, f"{prefix}{name}.")
        elif before != after:
            yield f"{prefix}{name}: {before!r} -> {after!r}"


def _option(path: str, tree: Config) -> list[str]:
    """A field as words of a command line."""
    value: Any = tree
    for name in path.split("."):
        value = getattr(value, name)
    values = value if isinstance(value, tuple) else [value]
    return [f"--{path.replace('_', '-')}", *map(str, values)]


def _plain(value: Any) -> Any:
    """Tuples as lists, which YAML can say."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value
