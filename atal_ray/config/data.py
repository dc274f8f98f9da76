"""Which images are labelled, how many points they get, and who answers."""

from dataclasses import dataclass
from typing import Literal

from atal_ray.config.section import Section, require


@dataclass(frozen=True, kw_only=True)
class DataConfig(Section):
    """Which images are labelled and which test sets judge the result."""

    train: str = ""
    """Folder of training images: an official layout, images/ + masks/, or images alone."""
    tests: tuple[str, ...] = ()
    """Folders of test sets, evaluated after every round."""
    subset: str | None = None
    """Text file with one image id a line: only these training images are used."""
    points: str | None = None
    """Labelled points to train on in one round, instead of asking: a campaign's folder, or a table (Parquet)
    of points.
    """
    limit: int | None = None
    """Use at most this many training images, chosen by a hash of their ids."""
    test_limit: int | None = None
    """Use at most this many images of each test set, chosen by a hash of their ids."""
    on_bad_file: Literal["refuse", "skip"] = "refuse"
    """Refuse to start with unreadable files, or leave them out and list them in errors.parquet."""

    def __post_init__(self) -> None:
        require(self.limit is None or self.limit > 0, f"data.limit is {self.limit}: use at least 1 image")
        require(
            self.test_limit is None or self.test_limit > 0,
            f"data.test-limit is {self.test_limit}: use at least 1 image",
        )


@dataclass(frozen=True, kw_only=True)
class BudgetConfig(Section):
    """How many points an image gets, and who answers."""

    start: int = 2
    """Random points of round 0."""
    per_round: int = 2
    """k: points asked in each later round."""
    total: int = 20
    """Points an image has at the end."""
    annotator: Literal["oracle", "answers"] = "oracle"
    """Read the label from the mask, or wait for a table of answers."""

    def __post_init__(self) -> None:
        require(self.start >= 1, f"budget.start is {self.start}: round 0 needs at least one point an image")
        require(
            self.per_round >= 1, f"budget.per-round (k) is {self.per_round}: ask at least one point a round"
        )
        require(self.total >= self.start, f"budget.total {self.total} is below budget.start {self.start}")
        require(
            (self.total - self.start) % self.per_round == 0,
            f"budget.total {self.total} is not reached from {self.start} in steps of {self.per_round}",
        )

    @property
    def rounds(self) -> int:
        """Rounds of training, the one on the start points included."""
        return 1 + (self.total - self.start) // self.per_round
