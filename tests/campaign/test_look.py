"""Stages that are due at once share the actors; each is whole as soon as its own shards are."""

import logging
from typing import Any

import pytest

from atal_ray.campaign.look import Look, look
from atal_ray.errors import CampaignError, DataError
from atal_ray.runtime.shards import Pool, ShardWork, Stage, shard_rows

MADE: list[str] = []


class Actor:
    """Notes that it was made; fails at the shards that it is told to."""

    def __init__(self, name: str, bad: int = -1) -> None:
        MADE.append(name)
        self.name, self.bad = name, bad

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        if row["shard"] == self.bad:
            raise DataError(f"{self.name}: shard {row['shard']}")
        return {"shard": row["shard"], "images": row["stop"] - row["start"], "name": self.name}


class Listed(Look):
    """Two works of six images, noted as they come."""

    def __init__(self, name: str, events: list[str], bad: int = -1, works: int = 2, threads: int = 1) -> None:
        self.name, self.events, self.bad, self.number = name, events, bad, works
        self.pool = Pool(1, threads, 0, backend="inline")

    def works(self) -> list[ShardWork]:
        self.events.append(f"{self.name} begins")
        stages = [Stage(Actor, {"name": f"{self.name}{n}", "bad": self.bad}) for n in range(self.number)]
        return [ShardWork(f"{self.name}{n}", shard_rows(6, 3), 6, stage) for n, stage in enumerate(stages)]

    def take(self, number: int, row: dict[str, Any]) -> None:
        assert row["name"] == f"{self.name}{number}"
        self.events.append(f"{self.name}{number}: {row['shard']}")

    def finish(self) -> None:
        self.events.append(f"{self.name} ends")


@pytest.fixture
def events() -> list[str]:
    MADE.clear()
    return []


def test_a_stage_ends_before_the_next_goes_on(events: list[str]) -> None:
    noted: list[tuple[Look, float]] = []
    looks = [Listed("a", events), Listed("b", events, works=1)]
    look(looks, lambda one, seconds: noted.append((one, seconds)))
    assert events == [
        *("a begins", "b begins", "a0: 0", "a0: 1", "a1: 0", "a1: 1", "a ends"),
        *("b0: 0", "b0: 1", "b ends"),
    ]
    assert [one for one, _ in noted] == looks
    assert all(seconds >= 0 for _, seconds in noted)


def test_a_stage_without_shards_ends_at_once(events: list[str]) -> None:
    look([Listed("a", events), Listed("b", events, works=0)])
    assert events.index("b ends") == 2


def test_nothing_due_is_nothing_done() -> None:
    look([])


def test_stages_of_other_actors_run_one_after_another(events: list[str]) -> None:
    look([Listed("a", events), Listed("b", events, threads=2)])
    assert events.index("a ends") < events.index("b begins")


def test_where_shared_actors_fail_the_sentence_is_that_of_its_stage(events: list[str]) -> None:
    with pytest.raises(DataError, match=r"^b0: shard 1$"):
        look([Listed("a", events), Listed("b", events, bad=1)])
    assert events.count("a ends") == 1
    assert events.count("b begins") == 2
    assert "b ends" not in events


def test_a_stage_whose_actors_fail_first_does_not_take_the_other_along(events: list[str]) -> None:
    first = Listed("a", events, bad=0)
    first.without = "the report will show less"
    look([first, Listed("b", events)])
    assert events.count("b ends") == 1
    assert "a ends" not in events


def test_what_a_campaign_can_do_without_is_a_warning(
    events: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    optional = Listed("a", events, bad=0)
    optional.without = "the report will show less"
    with caplog.at_level(logging.WARNING):
        look([optional])
    assert "the report will show less: a0: shard 0" in caplog.text


def test_what_a_stage_says_of_its_result_ends_the_others(events: list[str]) -> None:
    class Diverged(Listed):
        def finish(self) -> None:
            raise CampaignError("not finite")

    with pytest.raises(CampaignError, match="not finite"):
        look([Diverged("a", events), Listed("b", events)])
    assert events.count("a begins") == 1
    assert "b0: 0" not in events


def test_a_stage_that_cannot_begin_does_not_take_the_other_along(events: list[str]) -> None:
    class Unfitted(Listed):
        def works(self) -> list[ShardWork]:
            raise DataError("nothing to fit")

    with pytest.raises(DataError, match="nothing to fit"):
        look([Listed("a", events), Unfitted("b", events)])
    assert events.count("a ends") == 1


def test_what_comes_before_the_shards_is_a_part_of_the_stages_seconds(
    events: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr("atal_ray.campaign.look.time.monotonic", lambda: clock[0])

    class Fitted(Listed):
        def works(self) -> list[ShardWork]:
            clock[0] += 5
            return super().works()

        def finish(self) -> None:
            clock[0] += 1
            super().finish()

    class Plain(Listed):
        def finish(self) -> None:
            clock[0] += 2
            super().finish()

    spent: dict[str, float] = {}
    looks = [Plain("a", events), Fitted("b", events)]
    look(looks, lambda one, seconds: spent.update({one.name: seconds}))
    assert spent == {"a": 2, "b": 6}
