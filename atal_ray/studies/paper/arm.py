"""What a study compares, and what the paper claims of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from atal_ray.config import Config, RegionConfig, presets

Kind = Literal["better", "alike", "share", "diverse", "spread", "cover"]
Part = Literal["training", "places", "pictures", "maps", "layout", "cross", "grid"]
FULL = "full masks"
ATAL = "ATAL"
TEN = 10
CHOSEN = "chosen by another arm"
"""Stands for the table of points in the configuration of an arm that is given them."""
MARGIN = 0.005
"""Two networks whose maxF is known to differ by less are alike."""


@dataclass(frozen=True)
class Source:
    """The campaign whose points an arm is trained on.

    Args:
        config: of that campaign; all its points count.
        finished: whether the arm is its finish: trained on the masks that `atal finish` makes.
    """

    config: Config
    finished: bool = False


@dataclass(frozen=True)
class Arm:
    """A campaign of a study, or what is trained on the points of one.

    Args:
        name: what the study calls it.
        config: of the campaign, or of the one training; the seed is set for each of them.
        clicks: points an image at which it is read, ascending; empty for full masks.
        source: whose points it is given, where it chooses none.
    """

    name: str
    config: Config
    clicks: tuple[int, ...] = ()
    source: Source | None = None

    @property
    def is_finish(self) -> bool:
        """Whether it is the finish of a campaign."""
        return self.source is not None and self.source.finished

    @property
    def labels(self) -> str:
        """What it is trained on, in a word."""
        if self.source is None:
            return self.config.regions.labels
        return "finished masks" if self.is_finish else "given points"


@dataclass(frozen=True)
class Claim:
    """What the paper says of two arms.

    Args:
        where: the table or figure.
        says: in its words.
        arm: the one that it is about.
        other: what it is compared with.
        kind: `better` in maxF; `alike`, within `MARGIN`; `share`, at least so much of the other's maxF;
            `diverse`, snapshots that differ more; `spread`, fewer points near another of their image;
            `cover`, a smaller distance from any pixel of an image to its nearest point.
        share: of the other's maxF, for `share`.
    """

    where: str
    says: str
    arm: str
    other: str
    kind: Kind = "better"
    share: float = 1.0


@dataclass(frozen=True)
class PaperStudy:
    """A table or figure of the paper.

    Args:
        title: what it is, for people.
        arms: of a base campaign and other methods to show beside.
        claims: what the paper says of the arms of a base campaign.
        curves: whether figures over clicks are drawn.
        parts: what else the page shows: how snapshots were trained, where points lie, predictions of test
            images, the maps that a query looks at, the paper's layout of all metrics, shares of full masks
            of points and networks crossed, parameters against their values.
        axes: of a base campaign, parameter -> value -> name of the arm; for `grid`.
    """

    title: str
    arms: Callable[[Config, tuple[str, ...]], list[Arm]]
    claims: Callable[[Config], Sequence[Claim]] = lambda base: ()
    curves: bool = False
    parts: tuple[Part, ...] = ()
    axes: Callable[[Config], Mapping[str, Mapping[str, str]]] | None = None
    published: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Arm -> maxF and S on DUT-OMRON, then on DUTS-TE, as the paper prints them."""


def of_query(base: Config, **changes: Any) -> Config:
    """A base campaign with other fields of `query`."""
    return replace(base, query=replace(base.query, **changes))


def deep_ensemble(config: Config) -> Config:
    """The campaign with L networks trained apart, each for as long as the one network was."""
    train = config.train
    return replace(config, train=replace(train, ensemble="networks", epochs=train.cycles * train.epochs))


def pixels(config: Config) -> Config:
    """The campaign in which a click labels its pixel alone."""
    return replace(config, regions=replace(config.regions, labels="none"))


def full_masks(base: Config) -> Config:
    """The base's network on masks by its published recipe: at the paper's size as it is, else at the base's
    sides and batch, with a learning rate that is scaled by the batch, and for the epochs of a round; of all
    rounds up to ten clicks where each goes on from the one before, for so long is that network trained.
    """
    recipe, train = presets.full_recipe(base.network.name), base.train
    if train.size < presets.paper().train.size:
        recipe = replace(
            recipe,
            size=train.size,
            scales=train.scales,
            epochs=train.epochs * (at_ten(base).rounds if train.warm_start else 1),
            batch_size=train.batch_size,
            lr_max=recipe.lr_max * train.batch_size / recipe.batch_size,
        )
    return replace(
        base,
        train=replace(recipe, threads=train.threads),
        regions=RegionConfig(labels="dense"),
    )


def at_ten(base: Config) -> Config:
    """The campaign up to the ten clicks at which the paper compares, or as near as its rounds come."""
    budget = base.budget
    fitting = range(budget.start, min(budget.total, TEN) + 1, budget.per_round)
    return replace(base, budget=replace(budget, total=fitting[-1] if len(fitting) else budget.start))


def clicks_up_to(base: Config, total: int) -> tuple[int, ...]:
    """The points an image after each round, as far as a total."""
    budget = base.budget
    return tuple(range(budget.start, total + 1, budget.per_round))
