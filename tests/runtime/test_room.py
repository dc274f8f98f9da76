"""A cluster that loses the machines of a stage."""

import pytest

from atal_ray.errors import CampaignError
from atal_ray.runtime import room
from atal_ray.runtime.capacity import Node, Place
from atal_ray.runtime.room import START_MINUTES, RoomWatch

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
        CampaignError,
        match=r"^round 1: query: for 15 minutes .* no machine with 4 CPUs, 1 GPU, role gpu: bring",
    ):
        later(2)


def test_machines_that_others_hold_are_waited_for_with_a_word(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]
    monkeypatch.setattr(room, "nodes", lambda: [SMALL, LARGE])
    monkeypatch.setattr(room.time, "monotonic", lambda: now[0])
    watch = RoomWatch("round 1: query", [Place(4)])
    for minutes, words in ((START_MINUTES - 1, 0), (2, 1), (START_MINUTES - 1, 1), (2, 2)):
        now[0] += 60 * minutes
        watch.look()
        assert caplog.text.count("round 1: query: nothing was done for 15 minutes") == words
    quiet = RoomWatch("sweep", [Place(4)], says_busy=False)
    watch.went_on()
    now[0] += 60 * (START_MINUTES - 1)
    watch.look()
    now[0] += 60 * 2
    quiet.look()
    assert caplog.text.count("nothing was done") == 2


def test_a_place_is_on_one_machine_with_all_of_it() -> None:
    node = Node({"CPU": 4.0, "memory": 2.0**30}, {"role": "cpu"})
    assert Place(4, memory=2**30).fits(node)
    assert Place(4, 0, {"role": "cpu"}).fits(node)
    for place in (Place(5), Place(1, 1), Place(1, memory=2**31), Place(1, 0, {"role": "gpu"})):
        assert not place.fits(node)
    assert str(Place(1, 0, {"role": "gpu"}, 3 * 2**29)) == "1 CPU, 0 GPUs, 1.5 GiB of memory, role gpu"
