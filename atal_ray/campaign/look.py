"""What the snapshots of a round look at images for: how good they are, which pixels to ask for next, what the
report shows. Stages that are due at once share the actors, which start once and read the snapshots once.
"""

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import closing
from itertools import groupby

from atal_ray.campaign.campaign_folder import CampaignFolder
from atal_ray.config import Config
from atal_ray.errors import AtalError
from atal_ray.runtime.shards import Pool, Row, ShardWork, run_works

logger = logging.getLogger(__name__)


class Look(ABC):
    """A stage that lets the snapshots of a round look at images, and writes a file of the round last.

    Args:
        campaign: the folder.
        config: the configuration.
        round_number: the round whose snapshots look.
    """

    file: str
    """That it writes last."""
    cost: str | None = None
    """Under which name its seconds are noted; None where they are not."""
    without: str | None = None
    """What is missing where it fails, if a campaign can go on without it."""
    pool: Pool
    """The actors that it takes."""

    def __init__(self, campaign: CampaignFolder, config: Config, round_number: int) -> None:
        self.campaign, self.config, self.round_number = campaign, config, round_number

    @abstractmethod
    def works(self) -> list[ShardWork]:
        """The shards that are left; called again, it begins anew."""

    @abstractmethod
    def take(self, number: int, row: Row) -> None:
        """Take what an actor found of a shard of work `number`."""

    @abstractmethod
    def finish(self) -> None:
        """Write the result, when all shards are taken."""


Done = Callable[[Look, float], None]


def look(looks: Sequence[Look], done: Done = lambda look, seconds: None) -> None:
    """Run stages of one round to their ends; those that take the same actors share them.

    A stage is finished as soon as its last shard is there, whatever the others do. Where actors fail that
    several share, those that are not finished run one by one, so that the sentence names the one it is about.

    Args:
        looks: the stages; the first is begun first.
        done: called with each that is finished, and the seconds since the one before.

    Raises:
        AtalError: what a stage raised.
    """
    for _, same in groupby(looks, key=lambda one: one.pool):
        together = [*same]
        if len(together) > 1:
            together = _Shared(together, done).run()
        for alone in together:
            try:
                _Shared([alone], done).run()
            except AtalError as error:
                if alone.without is None:
                    raise
                logger.warning("%s: %s", alone.without, error)


class _Shared:
    """Stages that share actors."""

    def __init__(self, looks: Sequence[Look], done: Done) -> None:
        self.looks, self.done = looks, done
        self.left: dict[Look, int] = {one: 0 for one in looks}
        self.begun: dict[Look, float] = {}
        self.since = 0.0

    def run(self) -> list[Look]:
        """Run the stages; returns those that are not finished because one of several failed."""
        try:
            of_looks = [(one, self._works(one)) for one in self.looks]
        except AtalError as error:
            return self._one_by_one(error)
        whose = [(one, number) for one, works in of_looks for number in range(len(works))]
        self.since = time.monotonic()
        for one in self.looks:
            self._finish_if_whole(one)
        works = [work for _, works in of_looks for work in works]
        with closing(run_works(works, self.looks[0].pool)) as rows:
            while True:
                try:
                    found = next(rows, None)
                except AtalError as error:
                    return self._one_by_one(error)
                if found is None:
                    return []
                one, number = whose[found[0]]
                one.take(number, found[1])
                self.left[one] -= 1
                self._finish_if_whole(one)

    def _works(self, one: Look) -> list[ShardWork]:
        """The shards of a stage; what comes before them, such as a fit, is part of its seconds."""
        began = time.monotonic()
        works = one.works()
        self.begun[one] = time.monotonic() - began
        self.left[one] = sum(len(work.rows) for work in works)
        return works

    def _one_by_one(self, error: AtalError) -> list[Look]:
        """What is left after an error; raises it where it is the error of the only stage."""
        if len(self.looks) == 1:
            raise error
        logger.warning("%s; what is left runs one by one", error)
        return [*self.left]

    def _finish_if_whole(self, one: Look) -> None:
        if not self.left[one]:
            one.finish()
            del self.left[one]
            self.done(one, self.begun[one] + time.monotonic() - self.since)
            self.since = time.monotonic()
