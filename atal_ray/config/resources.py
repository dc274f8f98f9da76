"""How the work is spread."""

import re
from dataclasses import dataclass, field
from typing import Literal

from atal_ray.config.section import Section, require

Backend = Literal["ray", "inline"]
LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?")


@dataclass(frozen=True, kw_only=True)
class ResourceConfig(Section):
    """How the work is spread, which may change between runs (CPU and GPU differ in the last bits, the rest
    changes nothing).
    """

    backend: Backend = "ray"
    """Spread over a Ray cluster or this machine's own Ray; or inline: everything in this process, without Ray,
    with the same points: for notebooks, debuggers and tests.
    """
    query_actors: int = 1
    """Actors that attack and score."""
    gpus: Literal["auto", "none", "require"] = "auto"
    """Use the cluster's GPUs where there are any, or none; require: wait for one where there is none (yet, or
    any more).
    """
    scoring_nodes: dict[str, str] = field(default_factory=dict)
    """Labels of the nodes that train, attack and score (key value ...); unset: any node with room."""
    loading_nodes: dict[str, str] = field(default_factory=dict)
    """Labels of the nodes that read images, make superpixels and choose among all candidates; unset: any node
    with room.
    """
    loader_workers: int = 0
    """Processes that decode images for one Train worker."""
    object_store_mib: int = 1024
    """Ray's object store when the campaign starts its own Ray."""
    wait_minutes: float = 0
    """How long to wait for a cluster that grows to have room; for its GPUs only if gpus is require; 0: what
    is there must do.
    """
    index: Literal["faiss", "numpy"] = "faiss"
    """RDS over all images: faiss or NumPy searches for query.similarity nearest, on a GPU if faiss finds one,
    and multiplies for maxsum.
    """
    superpixels: str | None = None
    """Folder of superpixel maps that campaigns on the same, unchanging images share; unset: the campaign's
    own.
    """

    def __post_init__(self) -> None:
        require(
            self.wait_minutes >= 0, f"resources.wait-minutes is {self.wait_minutes}: it cannot be negative"
        )
        require(
            self.query_actors >= 1, f"resources.query-actors is {self.query_actors}: at least one is needed"
        )
        require(
            self.loader_workers >= 0,
            f"resources.loader-workers is {self.loader_workers}: it cannot be negative",
        )
        for field_name, labels in (
            ("scoring-nodes", self.scoring_nodes),
            ("loading-nodes", self.loading_nodes),
        ):
            wrong = [text for pair in labels.items() for text in pair if not LABEL.fullmatch(text)]
            require(
                not wrong,
                f"resources.{field_name}: {wrong[:1]} cannot be a label or its value: use letters, digits, . _ - and /",
            )
        require(
            self.object_store_mib >= 80,
            f"resources.object-store-mib is {self.object_store_mib}: Ray needs at least 80",
        )
