"""Sections `data` and `budget`: which images are labelled, how many points they get, and who answers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from atal_ray.config.bounds import Count, Images, Words
from atal_ray.config.section import Section, require

OnBadFile = Literal["refuse", "skip"]
Annotator = Literal["oracle", "answers"]
Start = Literal["uniform", "centre"]


@dataclass(frozen=True, kw_only=True)
class DataConfig(Section):
    """Which images are labelled and which test sets judge the result."""

    path = "data"
    may_change = ("train", "tests", "subset", "points", "on_bad_file")

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
    metrics: tuple[str, ...] = ()
    """Metrics of the test sets beside the standard ones: iou, or your own as module:Class."""
    on_bad_file: OnBadFile = "refuse"
    """Refuse to start with unreadable files, or leave them out and list them in errors.parquet."""


@dataclass(frozen=True, kw_only=True)
class BudgetConfig(Section):
    """How many points an image gets, and who answers."""

    path = "budget"
    may_change = ("per_round", "total", "earlier")

    start: Annotated[Count, Words("round 0 needs at least one point an image")] = 2
    """Random points of round 0."""
    start_strategy: Start = "uniform"
    """Where they lie: anywhere (the paper), or one in the centre and the others around it."""
    per_round: Annotated[Count, Words("ask at least one point a round", symbol="k")] = 2
    """k: points asked in each later round."""
    total: int = 20
    """Points an image has at the end."""
    annotator: Annotator = "oracle"
    """Read the label from the mask, or wait for a table of answers."""
    earlier: tuple[Count, ...] = ()
    """What rounds 1, 2, ... asked before per-round was changed; a campaign that goes on sets it itself."""

    def check_relations(self) -> None:
        """Raise ConfigError for a total that whole rounds do not reach."""
        there = self.start + sum(self.earlier)
        what = f"{there}, which are asked already," if self.earlier else f"budget.start {there}"
        require(self.total >= there, f"budget.total {self.total} is below {what.rstrip(',')}")
        below = self.total - (self.total - there) % self.per_round
        require(
            self.total == below,
            f"budget.total {self.total} is not reached from {there} in steps of {self.per_round}: "
            f"choose {below} or {below + self.per_round}",
        )

    @property
    def rounds(self) -> int:
        """Rounds of training, the one on the start points included."""
        later = self.total - self.start - sum(self.earlier)
        return 1 + len(self.earlier) + later // self.per_round

    def asked_for(self, number: int) -> int:
        """Points an image that a round adds; `start` for round 0."""
        if number == 0:
            return self.start
        return self.earlier[number - 1] if number <= len(self.earlier) else self.per_round

    def points_at(self, number: int) -> int:
        """Points an image that a round trains on."""
        return sum(self.asked_for(before) for before in range(number + 1))

    def after(self, asked: Sequence[int]) -> "BudgetConfig":
        """This budget for a campaign whose rounds 1, 2, ... have asked so many; ConfigError for a total that
        it does not reach.
        """
        whole = replace(self, earlier=tuple(asked))
        return replace(whole, earlier=shortest(asked, self.per_round))


def shortest(asked: Sequence[int], per_round: int) -> tuple[int, ...]:
    """What rounds have asked, without those at the end that asked `per_round`."""
    kept = list(asked)
    while kept and kept[-1] == per_round:
        kept.pop()
    return tuple(kept)
