"""What every part of the configuration shares."""

from typing import ClassVar

from pydantic import ConfigDict

from atal_ray.errors import ConfigError


class Section:
    """Base of every part of the tree: YAML with an unknown field is refused."""

    may_change: ClassVar[tuple[str, ...]] = ()
    """Fields, besides `resources`, that may differ between two calls on one folder."""
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")


def require(condition: bool, sentence: str) -> None:
    """Raise ConfigError with the sentence unless the condition holds."""
    if not condition:
        raise ConfigError(sentence)
