"""The configuration of a campaign: one tree of frozen dataclasses, the source of the CLI, the YAML and the sweeps."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from pydantic import ConfigDict

from atal_ray.errors import ConfigError


def _require(condition: bool, sentence: str) -> None:
    if not condition:
        raise ConfigError(sentence)


class Section:
    """Base of every part of the tree: YAML with an unknown field is refused."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")


@dataclass(frozen=True, kw_only=True)
class DataConfig(Section):
    """Which images are labelled and which test sets judge the result."""

    train: str = ""
    """Folder of training images: an official layout, images/ + masks/, or images alone."""
    tests: tuple[str, ...] = ()
    """Folders of test sets, evaluated after every round."""
    subset: str | None = None
    """Text file with one image id a line: only these training images are used."""
    limit: int | None = None
    """Use at most this many training images, chosen by a hash of their ids."""
    test_limit: int | None = None
    """Use at most this many images of each test set, chosen by a hash of their ids."""
    on_bad_file: Literal["refuse", "skip"] = "refuse"
    """Refuse to start with unreadable files, or leave them out and list them in errors.parquet."""

    def __post_init__(self) -> None:
        _require(self.limit is None or self.limit > 0, f"data.limit is {self.limit}: use at least 1 image")
        _require(self.test_limit is None or self.test_limit > 0, f"data.test-limit is {self.test_limit}: use at least 1 image")


@dataclass(frozen=True, kw_only=True)
class NetworkConfig(Section):
    """The saliency network and the weights it starts from."""

    name: str = "f3net"
    """A registered network: f3net, or f3net-small (a light backbone, random weights)."""
    weights: str | None = None
    """File with ImageNet weights of the backbone; unset: PyTorch's published ResNet-50; "random": none."""
    stride_on: Literal["3x3", "1x1"] = "3x3"
    """Which convolution of a ResNet-50 bottleneck strides: 3x3 (torchvision) or 1x1 (ResNet v1)."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Section):
    """Training of one round (TEUE): one network, L cycles, a snapshot at the end of each."""

    size: int = 352
    """Side of the square that images are resized to for query and evaluation."""
    scales: tuple[int, ...] = (224, 256, 288, 320, 352)
    """Sides of the training batches; each batch draws one."""
    epochs: int = 35
    """Passes over the images in one round; a multiple of the cycles."""
    cycles: int = 5
    """L: cycles of the learning rate, and snapshots kept."""
    schedule: Literal["cyclic", "triangular"] = "cyclic"
    """Cyclic cosine (Eq. 8), or F3Net's single triangle (vanilla training)."""
    batch_size: int = 32
    """Images in a batch, over all workers."""
    lr_max: float = 0.05
    """Peak learning rate of the head; the backbone runs at a tenth of it."""
    lr_min: float = 0.0
    """Lowest learning rate of the head."""
    momentum: float = 0.9
    """Nesterov momentum."""
    weight_decay: float = 5e-4
    """L2 penalty on every trained parameter."""
    warm_start: bool = False
    """Start a round from the last snapshot of the round before, not from the backbone's weights."""
    workers: int = 1
    """Data-parallel workers (one GPU each where GPUs are used)."""
    threads: int = 1
    """CPU threads of a worker: the order of its sums, and so the last bits of the weights, depend on them."""

    def __post_init__(self) -> None:
        _require(self.cycles >= 1, f"train.cycles (L) is {self.cycles}: at least one snapshot is needed")
        _require(self.epochs >= self.cycles, f"train.epochs is {self.epochs}: each of the {self.cycles} cycles needs at least one")
        _require(
            self.epochs % self.cycles == 0,
            f"train.epochs {self.epochs} cannot be split into {self.cycles} equal cycles: "
            f"choose {self.epochs // self.cycles * self.cycles} or {(self.epochs // self.cycles + 1) * self.cycles}",
        )
        _require(self.workers >= 1, f"train.workers is {self.workers}: at least one is needed")
        _require(self.threads >= 1, f"train.threads is {self.threads}: at least one is needed")
        _require(
            self.batch_size >= self.workers and self.batch_size % self.workers == 0,
            f"train.batch-size {self.batch_size} cannot be shared equally by {self.workers} workers",
        )
        for side in (self.size, *self.scales):
            _require(side >= 64 and side % 32 == 0, f"a side of {side} px in train.size or train.scales: use multiples of 32, from 64 on")
        _require(len(self.scales) > 0, "train.scales is empty: give at least one side")
        _require(0 <= self.lr_min < self.lr_max, f"train.lr-min {self.lr_min} must be at least 0 and below train.lr-max {self.lr_max}")
        _require(0 <= self.momentum < 1, f"train.momentum is {self.momentum}: use a value in [0, 1)")
        _require(self.weight_decay >= 0, f"train.weight-decay is {self.weight_decay}: it cannot be negative")


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

    def __post_init__(self) -> None:
        _require(0 < self.epsilon <= 1, f"attack.epsilon is {self.epsilon}: use a value in (0, 1]")
        _require(self.alpha > 0, f"attack.alpha is {self.alpha}: the step must be positive")
        _require(self.steps >= 1, f"attack.steps is {self.steps}: at least one is needed")


@dataclass(frozen=True, kw_only=True)
class QueryConfig(Section):
    """Which pixels are asked for next (TEUE and RDS)."""

    strategy: Literal["atal", "uncertainty", "random"] = "atal"
    """Candidates and RDS (the paper), the most uncertain pixels without RDS, or random pixels."""
    top_percent: float = 3.0
    """K: the candidate set is the most uncertain unlabelled pixels, as many as K % of all pixels."""
    score: Literal["flip-margin", "margin-change", "entropy", "margin"] = "flip-margin"
    """Diff of Eq. 3: flipped pixels first by small margin, |change of BvSB|, or the clean entropy or margin."""
    cover: Literal["kcenter", "maxsum"] = "kcenter"
    """How V covers the candidates: greedy k-center (the text), or the largest sum (Algorithm 1 as printed)."""
    cover_space: Literal["image", "features"] = "image"
    """Distance sigma of Eq. 9: between pixels of the image, or between unit feature vectors."""
    cover_factor: int = 10
    """|V| in multiples of k."""
    near_boundary: float = 0.5
    """A clean margin up to this is near the decision boundary: it separates PSR from PIR."""
    shard_size: int = 64
    """Images in a shard, the unit of work and of resume."""
    batch_size: int = 16
    """Images in one forward pass."""
    threads: int = 1
    """CPU threads of an actor, in the evaluation too; the last bits of its maps, and so a close pick, depend on them."""

    def __post_init__(self) -> None:
        _require(0 < self.top_percent <= 100, f"query.top-percent (K) is {self.top_percent}: the candidate set needs a value in (0, 100]")
        _require(self.cover_factor >= 1, f"query.cover-factor is {self.cover_factor}: the cover must hold at least k candidates")
        _require(0 <= self.near_boundary <= 1, f"query.near-boundary is {self.near_boundary}: use a margin in [0, 1]")
        _require(self.shard_size >= 1, f"query.shard-size is {self.shard_size}: use at least 1 image")
        _require(self.batch_size >= 1, f"query.batch-size is {self.batch_size}: use at least 1 image")
        _require(self.threads >= 1, f"query.threads is {self.threads}: at least one is needed")


@dataclass(frozen=True, kw_only=True)
class RegionConfig(Section):
    """What a clicked label covers, and the SEEDS superpixels behind it."""

    labels: Literal["propagate", "none", "oracle_mask", "dense"] = "propagate"
    """The click's superpixel, its pixel alone, the TRUE MASK inside its superpixel (an oracle leak), or full masks."""
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
        _require(self.superpixels >= 1, f"regions.superpixels is {self.superpixels}: use at least 1")
        _require(self.levels >= 1, f"regions.levels is {self.levels}: use at least 1")
        _require(0 <= self.prior <= 5, f"regions.prior is {self.prior}: use 0 to 5")
        _require(self.bins >= 1, f"regions.bins is {self.bins}: use at least 1")
        _require(self.iterations >= 1, f"regions.iterations is {self.iterations}: use at least 1")


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
        _require(self.start >= 1, f"budget.start is {self.start}: round 0 needs at least one point an image")
        _require(self.per_round >= 1, f"budget.per-round (k) is {self.per_round}: ask at least one point a round")
        _require(self.total >= self.start, f"budget.total {self.total} is below budget.start {self.start}")
        _require(
            (self.total - self.start) % self.per_round == 0,
            f"budget.total {self.total} is not reached from {self.start} in steps of {self.per_round}",
        )

    @property
    def rounds(self) -> int:
        """Rounds of training, the one on the start points included."""
        return 1 + (self.total - self.start) // self.per_round


@dataclass(frozen=True, kw_only=True)
class ResourceConfig(Section):
    """How the work is spread, which may change between runs (CPU and GPU differ in the last bits, the rest changes nothing)."""

    query_actors: int = 1
    """Actors that attack and score."""
    gpus: Literal["auto", "none"] = "auto"
    """Use the cluster's GPUs where there are any, or none."""
    loader_workers: int = 0
    """Processes that decode images for one Train worker."""
    object_store_mib: int = 1024
    """Ray's object store when the campaign starts its own Ray."""

    def __post_init__(self) -> None:
        _require(self.query_actors >= 1, f"resources.query-actors is {self.query_actors}: at least one is needed")
        _require(self.loader_workers >= 0, f"resources.loader-workers is {self.loader_workers}: it cannot be negative")
        _require(self.object_store_mib >= 80, f"resources.object-store-mib is {self.object_store_mib}: Ray needs at least 80")


@dataclass(frozen=True, kw_only=True)
class Config(Section):
    """Everything that a campaign's result depends on, and (in `resources`) how it is spread."""

    seed: int = 0
    """Seed of every random number."""
    data: DataConfig = field(default_factory=DataConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    attack: AttackConfig = field(default_factory=AttackConfig)
    query: QueryConfig = field(default_factory=QueryConfig)
    regions: RegionConfig = field(default_factory=RegionConfig)
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    resources: ResourceConfig = field(default_factory=ResourceConfig)

    def __post_init__(self) -> None:
        candidates = int(self.train.size**2 * self.query.top_percent / 100)
        _require(
            candidates >= self.budget.per_round,
            f"budget.per-round (k) {self.budget.per_round} is larger than the candidate set: {self.query.top_percent:g} % "
            f"of {self.train.size}x{self.train.size} pixels is {candidates}",
        )

    @property
    def rounds(self) -> int:
        """Rounds of the campaign; full masks leave nothing to ask, so they take one."""
        return 1 if self.regions.labels == "dense" else self.budget.rounds
