"""A cluster that has lost the machines of a stage, or no free one: Ray would wait without a word."""

import logging
import time
from collections.abc import Sequence

from atal_ray.errors import CampaignError
from atal_ray.runtime.capacity import Place, nodes

LOOK_SECONDS = 10.0
START_MINUTES = 15
"""That a stage waits for room: a machine that is to come takes minutes."""

logger = logging.getLogger(__name__)


class RoomWatch:
    """Looks now and then whether the cluster has a machine for each of these places.

    Args:
        title: of the stage.
        places: what it takes, one of each kind.
        says_busy: warn where nothing was done for long; for whoever tells by `went_on` what is done.
    """

    def __init__(self, title: str, places: Sequence[Place], *, says_busy: bool = True) -> None:
        self.title, self.places, self.says_busy = title, places, says_busy
        self.looked = self.since = self.moved = time.monotonic()

    def went_on(self) -> None:
        """Something of the stage is done."""
        self.since = self.moved = time.monotonic()

    def look(self) -> None:
        """Raise CampaignError where there was none for too long, and say where nothing was done for as long;
        to be called again and again.
        """
        now = time.monotonic()
        if now - self.looked < LOOK_SECONDS:
            return
        self.looked, machines = now, nodes()
        lacking = [place for place in self.places if not any(map(place.fits, machines))]
        if not lacking:
            self.since = now
        elif now - self.since > 60 * START_MINUTES:
            raise CampaignError(
                f"{self.title}: for {START_MINUTES} minutes the cluster had no machine with {lacking[0]}: "
                "bring one back, then run the same command again"
            )
        if self.says_busy and now - self.moved > 60 * START_MINUTES:
            self.moved = now
            logger.warning(
                "%s: nothing was done for %d minutes. If other jobs hold the machines, it goes on when they "
                "end; jobs that run at the same time need room for all of them",
                self.title,
                START_MINUTES,
            )
