"""Plug-ins: classes that a field of the configuration names, each with settings of its own.

A plug-in is one of ours, by its name, or anyone's as `module:Class`. Its settings are a section beside the
field that names it: those of `query.strategy top-share` are `query.top_share`, on the command line, in YAML
and in a sweep alike. A configuration with such settings is of a class of its own, derived from the general
one.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, make_dataclass
from functools import cache
from importlib import import_module
from itertools import pairwise
from pkgutil import resolve_name
from typing import Annotated, Any, ClassVar, Generic, TypeVar, get_args, get_origin

from atal_ray.config.section import Section, require
from atal_ray.errors import ConfigError, meant

Tree = TypeVar("Tree", bound=Section)
Plug = TypeVar("Plug", bound="Plugin")
Kind = TypeVar("Kind")


class Plugin:
    """Base of what a field can name."""

    Settings: ClassVar[type[Section] | None] = None
    """Its settings, a frozen dataclass with a default for every field; None where it has none."""

    @classmethod
    def belongs_to_call(cls, name: str) -> bool:
        """Whether a method was made for the `__call__` that the class has: it does where no class closer to
        this one defines another `__call__`.
        """
        method, call = (
            next(number for number, base in enumerate(cls.__mro__) if defined in vars(base))
            for defined in (name, "__call__")
        )
        return method <= call


@dataclass(frozen=True)
class Registry(Generic[Plug]):
    """The plug-ins of one kind."""

    option: str
    """The field that names one, such as query.score."""
    base: str
    """The class that all derive from, as module:Class: nothing is imported before it is used."""
    known: Mapping[str, str]
    """Ours: name -> module:Class."""

    def find(self, name: str) -> type[Plug]:
        """The class of a name; ConfigError where there is none, or it is of another kind."""
        if ":" in name:
            return own_class(self.option, name, resolve_name(self.base))
        if name not in self.known:
            raise ConfigError(
                f"{self.option} is {name!r}{meant(name, self.known)}: known are {', '.join(self.known)}; "
                "give your own as module:Class"
            )
        found: type[Plug] = resolve_name(self.known[name])
        return found


def own_class(option: str, name: str, base: type[Kind]) -> type[Kind]:
    """A user's class `module:Class`, whose module is imported from the Python path.

    Args:
        option: the field that names it.
        name: of the class.
        base: what it derives from.

    Raises:
        ConfigError: it cannot be imported, or derives from something else.
    """
    module, _, attribute = name.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except Exception as error:  # a user's module may raise anything
        raise ConfigError(
            f"{option} is {name!r}, but it cannot be imported ({type(error).__name__}: {error}): "
            "install its package, or start from the folder that holds the module"
        ) from error
    if not (isinstance(found, type) and issubclass(found, base)):
        raise ConfigError(f"{option} is {name!r}, which is no class derived from {base.__name__}")
    return found


def section_of(name: str) -> str:
    """Name of the section with the settings of a plug-in: top-share -> top_share, lab:MyScore -> my_score."""
    attribute = name.rpartition(":")[2].replace("-", "_")
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", attribute).lower()


def settings_of(section: Section, name: str, plugin: type[Plugin]) -> Any:
    """The settings of a plug-in that a section names: its defaults where the section holds none."""
    if plugin.Settings is None:
        return None
    return getattr(section, section_of(name), None) or plugin.Settings()


def named_plugins(kind: type[Section], tree: Any) -> Iterator[tuple[str, type[Plugin]]]:
    """The plug-ins that the fields of a section name, those that come with another plug-in included.

    A field's own default brings no settings, and is not imported: the settings of the default are fields of
    the section itself.

    Args:
        kind: class of the section.
        tree: a section, or a mapping of its fields in either spelling.
    """
    found: list[type[Plugin]] = []
    for name, registry in kind.plugins.items():
        chosen = _value(tree, name)
        if chosen is None:
            chosen = next((part for part in (getattr(one, name, None) for one in found) if part), None)
        if isinstance(chosen, str) and chosen != getattr(kind, name, None):
            found.append(resolve_name(registry).find(chosen))
            yield chosen, found[-1]


def specialised(kind: type[Tree], tree: Any) -> type[Tree]:
    """The class of a tree with the settings of the plug-ins that it names; `kind` where there are none.

    Args:
        kind: class of the tree in general.
        tree: a tree, or nested mappings.

    Raises:
        ConfigError: a plug-in is unknown, or its settings would take the place of a field.
    """
    kind = getattr(kind, "general", kind)
    added: dict[str, Any] = {}
    for name, hint in kind.field_types.items():
        section = kind.section(name)
        if section is not None:
            special = specialised(section, _value(tree, name))
            if special is not section:
                metadata = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
                added[name] = Annotated[special, *metadata] if metadata else special
    for chosen, plugin in named_plugins(kind, tree):
        name = section_of(chosen)
        if plugin.Settings is not None:
            require(
                name not in kind.field_types and added.get(name, plugin.Settings) is plugin.Settings,
                f"the settings of {chosen} would be {kind.path}.{name}, which is taken: rename the class",
            )
            plugin.Settings.path = plugin.Settings.path or f"{kind.path}.{name.replace('_', '-')}"
            added[name] = plugin.Settings
    return _derived(kind, tuple(added.items())) if added else kind  # type: ignore[arg-type]  # it is hashable


def convert(tree: Tree, kind: type[Tree]) -> Tree:
    """A tree as one of another class of the same general kind; settings that it lacks are as by default."""
    if type(tree) is kind:
        return tree
    values = {}
    for name in kind.field_types:
        if not hasattr(tree, name):
            continue
        value, section = getattr(tree, name), kind.section(name)
        values[name] = convert(value, section) if section is not None else value
    return kind(**values)


def for_plugins(tree: Tree, chosen: Mapping[str, Any]) -> Tree:
    """A tree of the class that has the settings of other plug-ins; the fields that name them stay to be set.

    Args:
        tree: a tree; settings of plug-ins that will no longer be named are dropped.
        chosen: path of a field -> name of the plug-in, such as query.score -> entropy.
    """
    general: type[Tree] = getattr(type(tree), "general", type(tree))
    values: Any = asdict(tree)  # type: ignore[call-overload]  # a section is a dataclass
    for path, value in chosen.items():
        *sections, name = path.split(".")
        of = values
        for section in sections:
            of = of[section]
        of[name] = value
    return convert(tree, specialised(general, values))


def with_options(tree: Tree, options: Sequence[str]) -> Tree:
    """A tree of the class that has the settings of the plug-ins which words of a command line name."""
    return for_plugins(tree, dict(_chosen(type(tree), options, "")))


def plugin_paths(kind: type[Section]) -> Iterator[str]:
    """The fields of a tree that name plug-ins, such as query.score."""
    yield from kind.plugins
    for name in kind.field_types:
        section = kind.section(name)
        if section is not None:
            yield from (f"{name}.{path}" for path in plugin_paths(section))


def _chosen(kind: type[Section], options: Sequence[str], above: str) -> Iterator[tuple[str, str | None]]:
    """Path and value of each plug-in that words of a command line name."""
    for name, hint in kind.field_types.items():
        section = kind.section(name)
        if section is not None:
            prefix = above if _is_unnamed(hint) else f"{above}{name}."
            yield from ((f"{name}.{path}", value) for path, value in _chosen(section, options, prefix))
    for name in kind.plugins:
        value = given(options, f"--{above}{name}")
        if value is not None:
            yield name, None if value == "None" else value


def given(options: Sequence[str], flag: str) -> str | None:
    """The last value that words of a command line give an option; None where they give none."""
    found, flag = None, flag.replace("_", "-")
    for word, after in pairwise([*options, ""]):
        option, equals, value = word.partition("=")
        value = value if equals else after
        if option.replace("_", "-") == flag and value and not value.startswith("--"):
            found = value
    return found


def _is_unnamed(hint: Any) -> bool:
    """Whether a section's fields are options without its name before them, as those of a sweep's campaign."""
    return any(getattr(item, "name", None) == "" for item in get_args(hint)[1:])


def _value(tree: Any, name: str) -> Any:
    """A field of a tree, of a mapping in either spelling, or of nothing."""
    if isinstance(tree, Mapping):
        return tree.get(name, tree.get(name.replace("_", "-")))
    return getattr(tree, name, None)


@cache
def _derived(kind: type[Tree], added: tuple[tuple[str, Any], ...]) -> type[Tree]:
    """The class with more sections; the same one each time, so that equal trees are equal."""
    fields: list[tuple[str, Any, Any]] = [
        (name, hint, field(default_factory=_factory(hint))) for name, hint in added
    ]
    made: Any = make_dataclass(
        kind.__name__,
        fields,
        bases=(kind,),
        frozen=True,
        kw_only=True,
        namespace={
            "__module__": kind.__module__,
            "__doc__": kind.__doc__,
            "__reduce__": _reduce,
            "general": kind,
        },
    )
    derived: type[Tree] = made
    return derived


def _factory(hint: Any) -> Callable[[], Any]:
    made: Callable[[], Any] = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    return made


def _reduce(tree: Any) -> tuple[Any, ...]:
    """How a tree is pickled: its class is made again where it is read."""
    return _read, (tree.general, {name: getattr(tree, name) for name in type(tree).field_types})


def _read(general: type[Tree], values: dict[str, Any]) -> Tree:
    kind = specialised(general, values)  # of a tree whose plug-in was replaced, without the settings before
    return kind(**{name: value for name, value in values.items() if name in kind.field_types})
