"""Seconds are taken around the work, summed by stage, and turned into rates."""

import time

import pytest

from atal_ray.runtime.throughput import Throughput, TimedActor, timed_load


def load(row):
    time.sleep(0.02)
    return {**row, "data": 7}


class Whole:
    def __init__(self, factor: int) -> None:
        self.factor = factor

    def __call__(self, row):
        assert "seconds" not in row
        time.sleep(0.03)
        return {"images": 2, "product": row["data"] * self.factor}


class InParts(Whole):
    def __call__(self, row):
        return {**super().__call__(row), "seconds": {"attack": 0.02, "choose": 0.001}}


def test_a_row_carries_the_seconds_of_every_stage():
    row = TimedActor(Whole, {"factor": 3})(timed_load({"shard": 0}, load))
    seconds = row.pop("seconds")
    assert row == {"images": 2, "product": 21}
    assert set(seconds) == {"loading", "scoring"}
    assert 0.02 <= seconds["loading"] < 1
    assert 0.03 <= seconds["scoring"] < 1


def test_parts_that_an_actor_names_stand_for_the_whole():
    row = TimedActor(InParts, {"factor": 3})(timed_load({"shard": 0}, load))
    assert row["seconds"].pop("loading") >= 0.02
    assert row["seconds"] == {"attack": 0.02, "choose": 0.001}


@pytest.fixture
def figures() -> Throughput:
    found = Throughput(actors=2)
    found.add(10, {"loading": 1.0, "attack": 4.0, "rest": 1.0}, 5.0)
    found.add(30, {"loading": 3.0, "attack": 8.0, "rest": 3.0}, 10.0)
    return found


def test_rates_shares_and_busy_time(figures: Throughput):
    assert (figures.images, figures.elapsed, figures.seconds) == (
        40,
        10.0,
        {"loading": 4.0, "attack": 12.0, "rest": 4.0},
    )
    assert figures.rate("attack") == pytest.approx(40 / 12)
    assert [figures.share(stage) for stage in figures.seconds] == pytest.approx([0.2, 0.6, 0.2])
    assert figures.busy == pytest.approx((12 + 4) / (2 * 10))
    assert figures.line() == "loading 10/s, scoring 2.5/s an actor, 80% busy"


def test_figures_survive_json(figures: Throughput):
    assert Throughput(**figures.to_json()) == figures


def test_nothing_done_divides_nothing_by_nothing():
    assert Throughput(actors=1).busy == 0
