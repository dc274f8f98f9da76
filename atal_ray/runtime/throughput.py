"""How fast each stage of a pipeline of shards is: seconds, taken where the work is done, and summed by the
driver.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

Row = dict[str, Any]

THROUGHPUT = "throughput.json"
SECONDS = "seconds"
"""Field of a row: stage -> seconds; an actor may put its parts there."""
LOADING, SCORING = "loading", "scoring"


@dataclass
class Throughput:
    """What a run of shards took; every stage has seen the same images."""

    actors: int = 0
    images: int = 0
    elapsed: float = 0.0
    """Seconds from the start of the first finished shard in its actor to the end of the last one; in one
    process from the start of its loading.
    """
    seconds: dict[str, float] = field(default_factory=dict)
    """Stage -> seconds, summed over its workers."""

    def add(self, images: int, seconds: dict[str, float], elapsed: float) -> None:
        """Count a shard that was finished `elapsed` seconds after the start."""
        self.images += images
        self.elapsed = elapsed
        for stage, spent in seconds.items():
            self.seconds[stage] = self.seconds.get(stage, 0.0) + spent

    def rate(self, stage: str) -> float:
        """Images a second that one worker of the stage does."""
        return self.images / max(self.seconds[stage], 1e-9)

    def share(self, stage: str) -> float:
        """The stage's part of all seconds of all workers."""
        return self.seconds[stage] / max(sum(self.seconds.values()), 1e-9)

    @property
    def busy(self) -> float:
        """The part of the time in which the actors had a shard to work on."""
        return min(1.0, self._worked / max(self.actors * self.elapsed, 1e-9))

    @property
    def _worked(self) -> float:
        return sum(spent for stage, spent in self.seconds.items() if stage != LOADING)

    def line(self) -> str:
        """The rates for a progress bar: loading, all that the actors do, and how busy they are."""
        rates = [f"{LOADING} {self.rate(LOADING):.3g}/s"] if LOADING in self.seconds else []
        rates.append(
            f"{SCORING} {self.images / max(self._worked, 1e-9):.3g}/s an actor, {self.busy:.0%} busy"
        )
        return ", ".join(rates)

    def to_json(self) -> dict[str, Any]:
        """The fields."""
        return asdict(self)


def timed_load(row: Row, load: Callable[[Row], Row]) -> Row:
    """The loaded row, and the seconds that it took in the field `seconds`."""
    start = time.perf_counter()
    loaded = load(row)
    return {**loaded, SECONDS: {LOADING: time.perf_counter() - start}}


class TimedActor:
    """An actor around another: its rows say in the field `seconds` what every stage took up to here.

    Where the inner actor names parts of its own time in that field, these stand for the whole.
    """

    def __init__(self, actor: Callable[..., Callable[[Row], Row]], arguments: Mapping[str, Any]) -> None:
        self.actor = actor(**arguments)

    def __call__(self, row: Row) -> Row:
        """The inner actor's row for a loaded shard."""
        before = row.get(SECONDS, {})
        start = time.perf_counter()
        result = self.actor({name: value for name, value in row.items() if name != SECONDS})
        spent = time.perf_counter() - start
        return {**result, SECONDS: before | result.get(SECONDS, {SCORING: spent})}
