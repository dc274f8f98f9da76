"""How the next points are found: attack, uncertainty, RDS, and the regions that a point labels."""

from dataclasses import dataclass
from typing import Literal

from atal_ray.config.section import Section, require


@dataclass(frozen=True, kw_only=True)
class AttackConfig(Section):
    """The PGD attack of Eq. 1, on the image in [0, 1] (AATU)."""

    epsilon: float = 8 / 255
    """Largest change of a channel value."""
    alpha: float = 2 / 255
    """Step size."""
    steps: int = 5
    """Steps of the attack."""
    model: Literal["last", "ensemble"] = "last"
    """Attack the last snapshot, or the mean of all snapshots."""
    labels: Literal["prediction", "points"] = "prediction"
    """y in Eq. 1: the model's own hard prediction, or the labelled points alone."""
    scale: float = 1.0
    """Side of the attacked images as a share of train.size; at 0.5 the attack costs a quarter and other
    points are found.
    """

    def __post_init__(self) -> None:
        require(0 < self.scale <= 1, f"attack.scale is {self.scale}: use a value in (0, 1]")
        require(0 < self.epsilon <= 1, f"attack.epsilon is {self.epsilon}: use a value in (0, 1]")
        require(self.alpha > 0, f"attack.alpha is {self.alpha}: the step must be positive")
        require(self.steps >= 1, f"attack.steps is {self.steps}: at least one is needed")


@dataclass(frozen=True, kw_only=True)
class QueryConfig(Section):
    """Which pixels are asked for next (TEUE and RDS)."""

    strategy: Literal["atal", "uncertainty", "random"] = "atal"
    """Candidates and RDS (the paper), the most uncertain pixels without RDS, or random pixels."""
    top_percent: float = 3.0
    """K: the candidate set is the most uncertain unlabelled pixels, as many as K % of all pixels."""
    score: Literal["flip-margin", "margin-change", "entropy", "margin"] = "flip-margin"
    """Diff of Eq. 3: flipped pixels first by small margin, |change of BvSB|, or the clean entropy or margin.
    """
    cover: Literal["kcenter", "maxsum"] = "kcenter"
    """How V covers the candidates: greedy k-center (the text), or the largest sum (Algorithm 1 as printed).
    """
    cover_space: Literal["image", "features", "both"] = "image"
    """Distance sigma of Eq. 9: between pixels of the image, between unit feature vectors, or both
    (cover_weight).
    """
    cover_weight: float = 0.5
    """Share of the features in the distance `both`; the rest is that of the pixels."""
    cover_factor: int = 10
    """|V| in multiples of k."""
    similarity: Literal["mean", "nearest"] = "mean"
    """phi of Eq. 10: mean cosine to the labelled points, or the cosine to the nearest of them."""
    scope: Literal["image", "dataset"] = "image"
    """k points for each image (the paper), or k times the images for all of them, by need."""
    floor: int = 1
    """Scope dataset: an image's fewest points in a round."""
    ceiling: int = 6
    """Scope dataset: an image's most points in a round."""
    shortlist_percent: float = 50.0
    """Scope dataset: of the images' covers behind the floors, the most uncertain share, which competes for
    the rest of the budget.
    """
    cover_images: int = 12_000
    """Scope dataset: most images that are covered together; more are covered in parts, so that the cost grows
    with their number.
    """
    near_boundary: float = 0.5
    """A clean margin up to this is near the decision boundary: it separates PSR from PIR."""
    shard_size: int = 64
    """Images in a shard, the unit of work and of resume."""
    batch_size: int = 16
    """Images in one forward pass."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """What the networks compute with; bfloat16 is faster where the processor has it, far slower elsewhere,
    and finds other points.
    """
    threads: int = 1
    """CPU threads of an actor, in the evaluation too; the last bits of its maps, and so a close pick, depend
    on them.
    """

    def __post_init__(self) -> None:
        require(
            0 < self.top_percent <= 100,
            f"query.top-percent (K) is {self.top_percent}: the candidate set needs a value in (0, 100]",
        )
        require(
            self.cover_factor >= 1,
            f"query.cover-factor is {self.cover_factor}: the cover must hold at least k candidates",
        )
        require(
            0 <= self.cover_weight <= 1, f"query.cover-weight is {self.cover_weight}: use a value from 0 to 1"
        )
        require(self.floor >= 0, f"query.floor is {self.floor}: it cannot be negative")
        require(
            self.ceiling >= max(1, self.floor),
            f"query.ceiling is {self.ceiling}: use at least 1, and no less than query.floor",
        )
        require(
            0 < self.shortlist_percent <= 100,
            f"query.shortlist-percent is {self.shortlist_percent}: use a value in (0, 100]",
        )
        require(self.cover_images >= 1, f"query.cover-images is {self.cover_images}: use at least 1 image")
        require(
            0 <= self.near_boundary <= 1,
            f"query.near-boundary is {self.near_boundary}: use a margin in [0, 1]",
        )
        require(self.shard_size >= 1, f"query.shard-size is {self.shard_size}: use at least 1 image")
        require(self.batch_size >= 1, f"query.batch-size is {self.batch_size}: use at least 1 image")
        require(self.threads >= 1, f"query.threads is {self.threads}: at least one is needed")


@dataclass(frozen=True, kw_only=True)
class RegionConfig(Section):
    """What a clicked label covers, and the SEEDS superpixels behind it."""

    labels: Literal["propagate", "none", "oracle_mask", "dense"] = "propagate"
    """The click's superpixel, its pixel alone, the TRUE MASK inside its superpixel (an oracle leak), or full
    masks.
    """
    superpixels: int = 1000
    """Superpixels asked of SEEDS."""
    levels: int = 4
    """Block levels of SEEDS."""
    prior: int = 3
    """Smoothing of SEEDS, 0 to 5."""
    bins: int = 5
    """Histogram bins of SEEDS."""
    double_step: bool = True
    """Run each SEEDS step twice."""
    iterations: int = 20
    """Pixel-level iterations of SEEDS."""

    def __post_init__(self) -> None:
        require(self.superpixels >= 1, f"regions.superpixels is {self.superpixels}: use at least 1")
        require(self.levels >= 1, f"regions.levels is {self.levels}: use at least 1")
        require(0 <= self.prior <= 5, f"regions.prior is {self.prior}: use 0 to 5")
        require(self.bins >= 1, f"regions.bins is {self.bins}: use at least 1")
        require(self.iterations >= 1, f"regions.iterations is {self.iterations}: use at least 1")

    @property
    def uses_superpixels(self) -> bool:
        """Whether a click labels, and so covers, more than its pixel."""
        return self.labels in ("propagate", "oracle_mask")
