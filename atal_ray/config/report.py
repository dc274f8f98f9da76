"""What the report shows besides the campaign itself."""

from dataclasses import dataclass
from typing import ClassVar

from atal_ray.config.section import Section


@dataclass(frozen=True, kw_only=True)
class ReportConfig(Section):
    """What report.html shows besides; it changes no result, and may change between runs."""

    path = "report"
    may_change: ClassVar[tuple[str, ...]] = ("compare", "image_scores")

    compare: tuple[str, ...] = ()
    """Folders of campaigns whose metrics are drawn beside, such as one of random points or full masks."""
    image_scores: bool = False
    """Keep the scores of each test image too, in image_scores.parquet of a round: for intervals."""
