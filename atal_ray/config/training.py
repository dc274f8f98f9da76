"""Sections `network` and `train`: the network and its training."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Interval, MinLen

from atal_ray.config.bounds import Count, Side, Words
from atal_ray.config.section import Section, require

Schedule = Literal["cyclic", "triangular", "poly"]
Loss = Literal["bce", "bce+wiou", "wbce+wiou", "bce+iou", "bce+cel"]
"""F3Net's published code has bce+wiou; its paper weights the BCE too."""
Augment = Literal["crop", "rotate"]
StrideOn = Literal["3x3", "1x1"]
Ensemble = Literal["trajectory", "networks"]
NotNegativeNumber = Annotated[float, Ge(0)]
DecayOn = Literal["all", "no-bias-no-bn"]


@dataclass(frozen=True, kw_only=True)
class NetworkConfig(Section):
    """The saliency network and the weights it starts from."""

    path = "network"
    may_change = ("weights",)

    name: str = "f3net"
    """A registered network (f3net, minet, pfsnet, f3net-small), or your own as module:Class."""
    weights: str | None = None
    """File with ImageNet weights of the backbone; unset: PyTorch's published ResNet-50; "random": none."""
    stride_on: StrideOn = "3x3"
    """Which convolution of a ResNet-50 bottleneck strides: 3x3 (torchvision) or 1x1 (ResNet v1)."""
    width: Count | None = None
    """Channels of the decoder; unset: 64, as published, and 16 for f3net-small."""
    dropout: Annotated[float, Interval(ge=0, lt=1)] = 0.0
    """Share of the channels between encoder and decoder, and before each head, that training leaves out."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Section):
    """Training of one round (TEUE): one network, L cycles, a snapshot at the end of each."""

    path = "train"

    size: Side = 352
    """Side of the square that images are resized to for query and evaluation."""
    scales: Annotated[tuple[Side, ...], MinLen(1), Words("give at least one side")] = (
        224,
        256,
        288,
        320,
        352,
    )
    """Sides of the training batches; each batch draws one."""
    epochs: Count = 35
    """Passes over the images in one round; a multiple of the cycles."""
    cycles: Annotated[Count, Words("at least one snapshot is needed", symbol="L")] = 5
    """L: cycles of the learning rate, and snapshots kept."""
    ensemble: Ensemble = "trajectory"
    """L snapshots of one network, or L networks of a cycle each (a deep ensemble: L times the epochs)."""
    schedule: Schedule = "cyclic"
    """Cyclic cosine (Eq. 8), F3Net's single triangle (vanilla training), or MINet's fall with power 0.9."""
    loss: Loss = "bce"
    """Mean BCE; for full masks also with weighted IoU (F3Net), IoU (PFSNet) or CEL (MINet)."""
    by_confidence: bool = False
    """Of soft masks, a pixel counts by its confidence |2 g - 1|, and its label is g >= 1/2."""
    coherence: NotNegativeNumber = 0.0
    """Weight of the local saliency coherence: neighbours of one colour should have one saliency."""
    consistency: NotNegativeNumber = 0.0
    """Weight of the structural similarity of an image's map and that of the image at 0.3 of its side."""
    augment: Augment = "crop"
    """Crop and flip (F3Net), or, for full masks, flip, rotation and colour jitter (MINet)."""
    batch_size: Count = 32
    """Images in a batch, over all workers."""
    drop_last: bool = False
    """Leave out an epoch's last batch where it is short."""
    lr_max: float = 0.05
    """Peak learning rate of the head."""
    lr_min: NotNegativeNumber = 0.0
    """Lowest learning rate of the head."""
    backbone_ratio: Annotated[float, Gt(0)] = 0.1
    """Learning rate of the pretrained backbone over that of the head."""
    freeze_stem: bool = True
    """Leave the first convolution of a pretrained backbone, and its batch norm, as they are."""
    momentum: Annotated[float, Interval(ge=0, lt=1)] = 0.9
    """Momentum of SGD."""
    nesterov: bool = True
    """Nesterov's form of the momentum, where there is any."""
    weight_decay: NotNegativeNumber = 5e-4
    """L2 penalty on the trained parameters."""
    decay_on: DecayOn = "all"
    """Which of them: all, or those whose published name holds neither "bias" nor "bn" (MINet)."""
    half: bool = True
    """On a GPU, compute in bfloat16 where that is safe."""
    compile: bool = False
    """Compile the step with torch.compile: a minute for each side of the batches, and faster steps then."""
    warm_start: bool = False
    """Start a round from the last snapshot of the round before, not from the backbone's weights."""
    workers: Count = 1
    """Data-parallel workers (one GPU each where GPUs are used)."""
    threads: Count = 1
    """CPU threads of a worker: the order of its sums, and so the last bits of the weights, depend on them."""

    @property
    def needs_masks(self) -> bool:
        """Whether it is a recipe of full supervision, whose loss or augmentation takes whole masks."""
        return self.loss != "bce" or self.augment != "crop" or self.by_confidence

    def check_relations(self) -> None:
        """Raise ConfigError for epochs, batches or learning rates that do not fit together."""
        require(
            self.epochs >= self.cycles,
            f"train.epochs is {self.epochs}: each of the {self.cycles} cycles needs at least one",
        )
        below = self.epochs // self.cycles * self.cycles
        require(
            self.epochs == below,
            f"train.epochs {self.epochs} cannot be split into {self.cycles} equal cycles: "
            f"choose {below} or {below + self.cycles}",
        )
        require(
            self.ensemble == "trajectory" or self.schedule == "cyclic",
            f"train.ensemble networks trains each of them for a cycle: it needs train.schedule cyclic, not "
            f"{self.schedule}",
        )
        require(
            self.batch_size % self.workers == 0,
            f"train.batch-size {self.batch_size} cannot be shared equally by {self.workers} workers",
        )
        require(
            self.lr_min < self.lr_max,
            f"train.lr-min {self.lr_min} must be below train.lr-max {self.lr_max}",
        )
