"""A cluster that loses the machines of a stage."""

import pytest

from atal_ray.errors import CampaignError
from atal_ray.runtime import room
from atal_ray.runtime.capacity import Node
from atal_ray.runtime.room import Place, RoomWatch
from atal_ray.runtime.single_actor import START_MINUTES

SMALL, LARGE = Node({"CPU": 2.0}, {"role": "cpu"}), Node({"CPU": 8.0, "GPU": 1.0}, {"role": "gpu"})


def test_a_machine_that_comes_back_in_time_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    machines, now = [SMALL, LARGE], [0.0]
    monkeypatch.setattr(room, "nodes", lambda: machines)
    monkeypatch.setattr(room.time, "monotonic", lambda: now[0])
    watch = RoomWatch("round 1: query", [Place(4, 1, {"role": "gpu"}), Place(1)])

    def later(minutes: float) -> None:
        now[0] += 60 * minutes
        watch.look()

    later(100)
    machines.remove(LARGE)
    later(START_MINUTES - 1)
    machines.append(LARGE)
    later(1)
    machines.remove(LARGE)
    later(START_MINUTES - 1)
    with pytest.raises(
        CampaignError, match=r"^round 1: query: for 15 minutes .* 4 CPUs and 1 GPUs and role gpu"
    ):
        later(2)
