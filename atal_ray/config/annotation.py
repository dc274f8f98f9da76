"""Section `annotation`: how long a round waits for people."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Gt, Interval

from atal_ray.config.section import Section


@dataclass(frozen=True, kw_only=True)
class AnnotationConfig(Section):
    """When a round of a campaign with budget.annotator answers goes on; it may change between runs."""

    path = "annotation"
    may_change: ClassVar[tuple[str, ...]] = ("enough", "deadline_hours", "wait")

    enough: Annotated[float, Interval(gt=0, le=1)] = 1.0
    """Share of the questions whose answers are enough to go on; the others are asked again in the next
    round.
    """
    deadline_hours: Annotated[float, Gt(0)] | None = None
    """Hours after which a round goes on with the answers that are there, of which there must be one; unset:
    never.
    """
    wait: bool = False
    """Wait for the answers and go on by itself, in place of ending when questions are open."""
