"""Which methods are evaluated on which test sets, and how."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Interval

from atal_ray.config.bounds import Images, NotNegative, ObjectStoreMib, Side
from atal_ray.config.resources import Backend
from atal_ray.config.section import Section, require
from atal_ray.config.training import NetworkConfig

Interpolation = Literal["bilinear", "nearest"]
Gpus = Literal["auto", "none"]


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig(Section):
    """Saliency maps of any number of methods against the masks of any number of test sets."""

    masks: tuple[str, ...] = ()
    """Test sets: dataset folders in a known layout, or folders of masks; NAME=FOLDER names one."""
    maps: tuple[str, ...] = ()
    """Methods: folders of maps, or folders with one of them for each test set; NAME=FOLDER names one."""
    checkpoint: tuple[str, ...] = ()
    """Weights of `network` to predict maps with first, into maps/; NAME=FILE names one. Needs images."""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    """The network of the checkpoints, whose weights it takes."""
    size: Side = 352
    """Side of the square that images are resized to for it."""
    batch_size: Images = 16
    """Images in one of its forward passes."""
    interpolation: Interpolation = "bilinear"
    """How a map of another size is brought to that of its mask."""
    mask_threshold: Annotated[int, Interval(ge=0, le=254)] = 128
    """Mask levels above it (of 255) are salient; 25 is the sal_eval_toolbox's level on PASCAL-S (0.1)."""
    relative_to: str | None = None
    """A method, such as full supervision: a row with each method's share of its maxF is added."""
    metrics: tuple[str, ...] = ()
    """Rows of table.md, such as max_f e_soft; unset: the standard ones, or those of `published`."""
    published: bool = False
    """The paper's metrics (Table 2) with its numbers beside, known misprints marked."""
    compare: tuple[str, ...] = ()
    """Methods to compare with each other image by image: paired bootstrap confidence intervals."""
    backend: Backend = "ray"
    """ray: a cluster or this machine's own Ray; inline: all in this process, the same table (to debug)."""
    actors: NotNegative = 0
    """Actors that score, one CPU each; 0: one for each CPU of the cluster."""
    gpus: Gpus = "auto"
    """Predict on the cluster's GPUs where there are any, or on none."""
    object_store_mib: ObjectStoreMib = 256
    """Ray's object store when the evaluation starts its own Ray."""

    def check_relations(self) -> None:
        """Raise ConfigError for a comparison of one method with nothing."""
        require(len(self.compare) != 1, "compare names one method: name at least two")
