"""What every section of the configuration shares."""

from collections.abc import Mapping
from pkgutil import resolve_name
from typing import Annotated, Any, ClassVar, final, get_args, get_origin, get_type_hints

from pydantic import ConfigDict

from atal_ray.config.bounds import refusal
from atal_ray.errors import ConfigError


class Section:
    """Base of every part of the tree: values outside their bounds and unknown fields are refused."""

    path: ClassVar[str] = ""
    """Name of the section on the command line and in YAML; empty where its fields stand at the top."""
    may_change: ClassVar[tuple[str, ...]] = ()
    """Fields, besides `resources`, that may differ between two calls on one folder; who makes use of them
    checks the values.
    """
    plugins: ClassVar[Mapping[str, str]] = {}
    """Fields that name a plug-in, each with its registry as module:NAME; see config/plugins.py."""
    field_types: ClassVar[Mapping[str, Any]] = {}
    """The fields with their types, bounds included."""
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    def __init_subclass__(cls) -> None:
        hints = get_type_hints(cls, include_extras=True)
        cls.field_types = {name: hint for name, hint in hints.items() if get_origin(hint) is not ClassVar}

    @final
    def __post_init__(self) -> None:
        for name in self.field_types:
            sentence = self.refusal(name, getattr(self, name))
            require(not sentence, sentence)
        self.check_relations()

    def check_relations(self) -> None:
        """Raise ConfigError where fields contradict each other; their bounds were checked before."""

    def plugin(self, field: str, name: str) -> Any:
        """The class of the plug-in that a field names; see config/plugins.py."""
        return resolve_name(self.plugins[field]).find(name)

    @classmethod
    def section(cls, name: str) -> "type[Section] | None":
        """The section that the field of that name holds; None for a single value or an unknown name."""
        hint = cls.field_types.get(name)
        inner = get_args(hint)[0] if get_origin(hint) is Annotated else hint
        return inner if isinstance(inner, type) and issubclass(inner, Section) else None

    @classmethod
    def refusal(cls, name: str, value: Any) -> str:
        """Why the field of that name cannot have a value, in a sentence; empty where it can."""
        option = name.replace("_", "-")
        return refusal(f"{cls.path}.{option}" if cls.path else option, cls.field_types[name], value)


def require(condition: bool, sentence: str) -> None:
    """Raise ConfigError with the sentence unless the condition holds."""
    if not condition:
        raise ConfigError(sentence)
