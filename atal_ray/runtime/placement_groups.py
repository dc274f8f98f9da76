"""Placement groups that outlive the actor that made them: they keep CPUs and GPUs for nobody."""

import ray
from ray._private.state import state as cluster
from ray.core.generated.gcs_pb2 import PlacementGroupTableData
from ray.train.v2._internal.execution.callback import ControllerCallback, WorkerGroupCallback
from ray.util.placement_group import PlacementGroup, remove_placement_group


def groups_of(actor_id: str) -> list[PlacementGroup]:
    """The placement groups that an actor made and that are still there.

    Ray's public table does not say who made a group.
    """
    table = map(
        PlacementGroupTableData.FromString, cluster._connect_and_get_accessor().get_placement_group_table()
    )
    return [
        PlacementGroup(ray.PlacementGroupID(group.placement_group_id))
        for group in table
        if group.creator_actor_id.hex() == actor_id and group.state != PlacementGroupTableData.REMOVED
    ]


def remove_groups_of(actor_id: str) -> None:
    """Give back what an actor has reserved."""
    for group in groups_of(actor_id):
        remove_placement_group(group)


class GroupRemover(ControllerCallback, WorkerGroupCallback):  # type: ignore[misc]
    """Removes what a controller of Ray Train forgets where a worker dies while its group starts.

    Such a group would be kept until the end of the whole job.
    """

    def before_worker_group_start(self, worker_group_context: object) -> None:
        """A group that is tried again would wait for the CPUs of the one before."""
        self._remove()

    async def before_controller_shutdown(self) -> None:
        """Ray has ended the workers that it knows of."""
        self._remove()

    def _remove(self) -> None:
        remove_groups_of(ray.get_runtime_context().get_actor_id())
