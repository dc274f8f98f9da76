"""Sections `data` and `budget`: which images are labelled, how many points they get, and who answers."""

from dataclasses import dataclass
from typing import Annotated, Literal

from atal_ray.config.bounds import Count, Images, Words
from atal_ray.config.section import Section, require

OnBadFile = Literal["refuse", "skip"]
Annotator = Literal["oracle", "answers"]


@dataclass(frozen=True, kw_only=True)
class DataConfig(Section):
    """Which images are labelled and which test sets judge the result."""

    path = "data"

    train: str = ""
    """Folder of training images: an official layout, images/ + masks/, or images alone."""
    tests: tuple[str, ...] = ()
    """Folders of test sets, evaluated after every round."""
    subset: str | None = None
    """Text file with one image id a line: only these training images are used."""
    points: str | None = None
    """Labelled points to train on once, instead of asking: a campaign's folder, or a Parquet table."""
    limit: Images | None = None
    """Use at most this many training images, chosen by a hash of their ids."""
    test_limit: Images | None = None
    """Use at most this many images of each test set, chosen by a hash of their ids."""
    on_bad_file: OnBadFile = "refuse"
    """Refuse to start with unreadable files, or leave them out and list them in errors.parquet."""


@dataclass(frozen=True, kw_only=True)
class BudgetConfig(Section):
    """How many points an image gets, and who answers."""

    path = "budget"

    start: Annotated[Count, Words("round 0 needs at least one point an image")] = 2
    """Random points of round 0."""
    per_round: Annotated[Count, Words("ask at least one point a round", symbol="k")] = 2
    """k: points asked in each later round."""
    total: int = 20
    """Points an image has at the end."""
    annotator: Annotator = "oracle"
    """Read the label from the mask, or wait for a table of answers."""

    def check_relations(self) -> None:
        """Raise ConfigError for a total that whole rounds do not reach."""
        require(self.total >= self.start, f"budget.total {self.total} is below budget.start {self.start}")
        require(
            (self.total - self.start) % self.per_round == 0,
            f"budget.total {self.total} is not reached from {self.start} in steps of {self.per_round}",
        )

    @property
    def rounds(self) -> int:
        """Rounds of training, the one on the start points included."""
        return 1 + (self.total - self.start) // self.per_round
