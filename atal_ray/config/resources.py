"""How the work is spread."""

import re
from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, Predicate

from atal_ray.config.bounds import Count, NotNegative, ObjectStoreMib, Words
from atal_ray.config.section import Section

Backend = Literal["ray", "inline"]
Gpus = Literal["auto", "none", "require"]
Index = Literal["faiss", "numpy"]

_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?")
NodeLabel = Annotated[
    str, Predicate(_LABEL.fullmatch), Words("a label and its value have letters, digits, . _ - and / only")
]


@dataclass(frozen=True, kw_only=True)
class ResourceConfig(Section):
    """How the work is spread, which may change between runs (CPU and GPU differ in the last bits, the rest
    changes nothing).
    """

    path = "resources"

    backend: Backend = "ray"
    """ray: a cluster or this machine's own Ray; inline: all in this process, the same points (to debug)."""
    query_actors: Count = 1
    """Actors that attack and score."""
    gpus: Gpus = "auto"
    """Use the cluster's GPUs where there are any, or none; require: wait until there is one."""
    scoring_nodes: dict[NodeLabel, NodeLabel] = field(default_factory=dict)
    """Labels of the nodes that train, attack and score (key value ...); unset: any node with room."""
    loading_nodes: dict[NodeLabel, NodeLabel] = field(default_factory=dict)
    """Labels of the nodes that read images, make superpixels, choose in scope dataset; unset: any node."""
    loader_workers: NotNegative | None = None
    """Threads that load images for one Train worker; unset: as the machine has cores, at most 8."""
    cache_mib: NotNegative = 4096
    """Memory of one Train worker for images it has decoded; the rest goes to a temporary file."""
    object_store_mib: ObjectStoreMib = 1024
    """Ray's object store when the campaign starts its own Ray."""
    wait_minutes: Annotated[float, Ge(0)] = 0
    """Wait so long for a growing cluster to have room, for its GPUs only with gpus require; 0: do not."""
    index: Index = "faiss"
    """RDS over all images: faiss (on a GPU if it finds one) or NumPy, for similarity nearest and maxsum."""
    superpixels: str | None = None
    """Folder of superpixels that campaigns on the same, unchanging images share; unset: one of its own."""
