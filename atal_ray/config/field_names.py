"""Fields by the names that people write: in either spelling, or mistyped."""

from collections.abc import Iterator, Mapping
from typing import Any

from atal_ray.config.section import Section
from atal_ray.errors import meant


def named(kind: type[Section], tree: Mapping[Any, Any]) -> tuple[dict[str, Any], list[str]]:
    """The mappings with each field under its own name: top-percent and top_percent are one field.

    Args:
        kind: class of the tree.
        tree: nested mappings; what is no mapping where a section stands is left for the caller to refuse.

    Returns:
        The fields that there are; and a sentence for each other one, with what was perhaps meant, and for
        each that stands there in both spellings.
    """
    wrong: list[str] = []
    return _named(kind, tree, "", kind, wrong), wrong


def _named(
    kind: type[Section], tree: Mapping[Any, Any], above: str, root: type[Section], wrong: list[str]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in tree.items():
        name = str(key).replace("-", "_")
        section = kind.section(name)
        if name not in kind.field_types:
            path = f"{above}{key}"
            wrong.append(f"{path}: there is no such field{likely(root, path)}")
        elif name in found:
            wrong.append(f"{above}{name}: it is there twice, as {name} and {name.replace('_', '-')}")
        elif section is not None and isinstance(value, Mapping):
            found[name] = _named(section, value, f"{above}{name}.", root, wrong)
        else:
            found[name] = value
    return found


def likely(kind: type[Section], path: str) -> str:
    """The end of a sentence about an unknown field, such as ", did you mean query.top_percent?", or empty."""
    path = path.replace("-", "_")
    known = list(paths(kind))
    leaf = path.rpartition(".")[2]
    same = [other for other in known if other.rpartition(".")[2] == leaf]
    if same:
        return f", did you mean {' or '.join(same)}?"
    near = meant(path, known)
    return near or meant(path, [other.rpartition(".")[2] for other in known])


def paths(kind: type[Section], above: str = "") -> Iterator[str]:
    """The fields of a tree, such as query.top_percent, in their order."""
    for name in kind.field_types:
        section = kind.section(name)
        if section is None:
            yield f"{above}{name}"
        else:
            yield from paths(section, f"{above}{name}.")
