"""Sections `query`, `attack` and `regions`: how the next points are found, and what a point labels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Gt, Interval

from atal_ray.config.bounds import Count, Images, NotNegative, Percent, Share, Words
from atal_ray.config.section import Section, require

Predictor = Literal["last", "ensemble"]
"""Of the snapshots of a round: the last one alone, or the mean of all."""
AttackLabels = Literal["prediction", "points"]
Cover = Literal["kcenter", "maxsum"]
CoverSpace = Literal["image", "features", "both"]
Similarity = Literal["mean", "nearest"]
Scope = Literal["image", "dataset"]
Precision = Literal["float32", "bfloat16"]
RegionLabels = Literal["propagate", "none", "oracle_mask", "dense"]


@dataclass(frozen=True, kw_only=True)
class AttackConfig(Section):
    """The PGD attack of Eq. 1, on the image in [0, 1] (AATU)."""

    path = "attack"

    epsilon: Share = 8 / 255
    """Largest change of a channel value."""
    alpha: Annotated[float, Gt(0)] = 2 / 255
    """Step size."""
    steps: Count = 5
    """Steps of the attack."""
    model: Predictor = "last"
    """Attack the last snapshot, or the mean of all snapshots."""
    labels: AttackLabels = "prediction"
    """y in Eq. 1: the model's own hard prediction, or the labelled points alone."""
    scale: Share = 1.0
    """Side of the attacked images as a share of train.size; 0.5: a quarter of the cost, other points."""


@dataclass(frozen=True, kw_only=True)
class QueryConfig(Section):
    """Which pixels are asked for next (TEUE and RDS)."""

    path = "query"
    plugins: ClassVar[Mapping[str, str]] = {
        "method": "atal_ray.acquisition.registered:METHODS",
        "score": "atal_ray.acquisition.registered:SCORES",
        "strategy": "atal_ray.acquisition.registered:STRATEGIES",
    }

    method: str = "atal"
    """How the next pixels are found: a method's name (see docs/methods.md), or your own as module:Class."""
    score: str | None = None
    """How uncertain a pixel is (Eq. 3), by name or as module:Class; unset: the method's own."""
    strategy: str | None = None
    """Which pixels are taken by that score, by name or as module:Class; unset: the method's own."""
    top_percent: Annotated[Percent, Words("the candidate set needs a value in (0, 100]", symbol="K")] = 3.0
    """K: the candidate set is the most uncertain unlabelled pixels, as many as K % of all pixels."""
    cover: Cover = "kcenter"
    """How V covers the candidates: greedy k-center (the text), or largest sum (Algorithm 1 as printed)."""
    cover_space: CoverSpace = "image"
    """Sigma of Eq. 9: between pixels of the image, between unit feature vectors, or both (cover_weight)."""
    cover_weight: Annotated[float, Interval(ge=0, le=1)] = 0.5
    """Share of the features in the distance `both`; the rest is that of the pixels."""
    cover_factor: Annotated[Count, Words("the cover must hold at least k candidates")] = 10
    """|V| in multiples of k."""
    similarity: Similarity = "mean"
    """phi of Eq. 10: mean cosine to the labelled points, or the cosine to the nearest of them."""
    scope: Scope = "image"
    """k points for each image (the paper), or k times the images for all of them, by need."""
    floor: NotNegative = 1
    """Scope dataset: an image's fewest points in a round."""
    ceiling: Count = 6
    """Scope dataset: an image's most points in a round."""
    shortlist_percent: Percent = 50.0
    """Scope dataset: most uncertain share of the covers behind the floors, which competes for the rest."""
    cover_images: Images = 12_000
    """Scope dataset: most images covered together; more are covered in parts, so that cost grows linearly."""
    margin: Annotated[float, Interval(ge=0, lt=0.5)] = 0.0
    """Outer share of each side in which a round asks for nothing, while enough other pixels are left."""
    near_boundary: Annotated[float, Interval(ge=0, le=1)] = 0.5
    """A clean margin up to this is near the decision boundary: it separates PSR from PIR."""
    shard_size: Images = 64
    """Images in a shard, the unit of work and of resume."""
    batch_size: Images = 16
    """Images in one forward pass."""
    precision: Precision = "float32"
    """What the networks compute in; bfloat16 finds other points, and is slow where the CPU lacks it."""
    threads: Count = 1
    """CPU threads of an actor, in the evaluation too; the last bits of its maps depend on them."""

    def check_relations(self) -> None:
        """Raise ConfigError for a ceiling below the floor."""
        require(
            self.ceiling >= self.floor,
            f"query.ceiling {self.ceiling} is below query.floor {self.floor}",
        )


@dataclass(frozen=True, kw_only=True)
class RegionConfig(Section):
    """What a clicked label covers, and the superpixels behind it."""

    path = "regions"
    plugins: ClassVar[Mapping[str, str]] = {"method": "atal_ray.labels.superpixel_method:SUPERPIXELS"}

    labels: RegionLabels = "propagate"
    """The click's superpixel, its pixel alone, the TRUE MASK inside its superpixel (leak!), or full masks."""
    method: str = "seeds"
    """How images are cut into superpixels: seeds, squares, or your own as module:Class."""
    superpixels: Count = 1000
    """Superpixels of an image that are asked for."""
    levels: Count = 4
    """Block levels of SEEDS."""
    prior: Annotated[int, Interval(ge=0, le=5)] = 3
    """Smoothing of SEEDS, 0 to 5."""
    bins: Count = 5
    """Histogram bins of SEEDS."""
    double_step: bool = True
    """Run each SEEDS step twice."""
    iterations: Count = 20
    """Pixel-level iterations of SEEDS."""

    @property
    def uses_superpixels(self) -> bool:
        """Whether a click labels, and so covers, more than its pixel."""
        return self.labels in ("propagate", "oracle_mask")

    @property
    def uses_masks(self) -> bool:
        """Whether labels are read from the true masks, beyond what is asked."""
        return self.labels in ("oracle_mask", "dense")
