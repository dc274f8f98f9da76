"""Bounds of single fields as types, and the sentence that refuses a value outside them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin

from annotated_types import BaseMetadata, Ge, GroupedMetadata, Gt, Interval, Le, Lt, MinLen, Predicate


@dataclass(frozen=True)
class Words:
    """A field's own words in the sentence that refuses a value."""

    use: str = ""
    """What to use instead; unset: said by the bounds."""
    symbol: str = ""
    """The paper's letter for the field."""


Count = Annotated[int, Ge(1)]
NotNegative = Annotated[int, Ge(0)]
Share = Annotated[float, Interval(gt=0, le=1)]
Percent = Annotated[float, Interval(gt=0, le=100)]
Images = Annotated[Count, Words("use at least 1 image")]
Side = Annotated[int, Ge(64), Words("use at least 64 px")]
ObjectStoreMib = Annotated[int, Ge(80), Words("Ray needs at least 80")]


def refusal(field: str, hint: Any, value: Any) -> str:
    """Why a field cannot have a value: a sentence with the field, the value and what to use.

    Args:
        field: its path on the command line, such as query.top-percent.
        hint: its type.
        value: the value; one of another type than the hint is not judged here.

    Returns:
        The sentence; empty for a value within the bounds.
    """
    for annotated, part in _bounded_parts(hint, value):
        metadata = get_args(annotated)[1:]
        bounds = list(_bounds(metadata))
        if all(_holds(bound, part) for bound in bounds):
            continue
        words = [item for item in metadata if isinstance(item, Words)]
        use = next((item.use for item in reversed(words) if item.use), None) or _use(bounds)
        symbol = next((f" ({item.symbol})" for item in words if item.symbol), "")
        verb = "is" if part is value else "holds"
        return f"{field}{symbol} {verb} {'empty' if part in ((), []) else repr(part)}: {use}"
    return ""


def _bounded_parts(hint: Any, value: Any) -> Iterator[tuple[Any, Any]]:
    """Each `Annotated` type in a hint, with the value, or the element of it, that has to fit it."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        yield hint, value
        yield from _bounded_parts(arguments[0], value)
    elif origin is tuple and isinstance(value, tuple | list):
        for element in value:
            yield from _bounded_parts(arguments[0], element)
    elif origin is dict and isinstance(value, dict):
        for key, element in value.items():
            yield from _bounded_parts(arguments[0], key)
            yield from _bounded_parts(arguments[1], element)
    elif type(None) in arguments and value is not None:  # X | None
        yield from _bounded_parts(arguments[0], value)


def _bounds(metadata: Iterable[Any]) -> Iterator[Any]:
    for item in metadata:
        if isinstance(item, GroupedMetadata):
            yield from item
        elif isinstance(item, BaseMetadata):
            yield item


def _holds(bound: Any, value: Any) -> bool:
    """Whether a value is within one bound, where the bound is one of its type; NaN is within none."""
    if isinstance(bound, Predicate):
        return not isinstance(value, str) or bool(bound.func(value))
    if isinstance(bound, MinLen):
        return not isinstance(value, tuple | list) or len(value) >= bound.min_length
    if not isinstance(value, int | float):
        return True
    number: Any = value
    match bound:
        case Ge(ge=limit):
            return bool(number >= limit)
        case Gt(gt=limit):
            return bool(number > limit)
        case Le(le=limit):
            return bool(number <= limit)
        case Lt(lt=limit):
            return bool(number < limit)
    raise TypeError(f"{bound} is a bound that nobody checks")


def _use(bounds: list[Any]) -> str:
    """What to use, in general words."""
    match bounds:
        case [Ge(ge=0)]:
            return "it cannot be negative"
        case [Gt(gt=0)]:
            return "it must be positive"
        case [Ge(ge=low)]:
            return f"use at least {low}"
        case [Ge(ge=low), Le(le=high)]:
            return f"use {low} to {high}"
        case [Gt(gt=low), Le(le=high)]:
            return f"use a value in ({low}, {high}]"
        case [Ge(ge=low), Lt(lt=high)]:
            return f"use a value in [{low}, {high})"
    raise TypeError(f"a field with the bounds {bounds} needs Words of its own")
