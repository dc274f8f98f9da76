"""A shard on which workers die: its images are tried one by one in an actor of its own."""

import logging
from collections.abc import Iterator
from typing import Any

import ray
from ray.exceptions import RayActorError

from atal_ray.errors import CampaignError, DataError
from atal_ray.runtime.bad_images import DEATHS, LEFT_OUT, REASON, BadImages
from atal_ray.runtime.failure import plain_error
from atal_ray.runtime.shards import LoadAndScore, Pool, Row, Stage
from atal_ray.runtime.single_actor import started

MANY = 5
"""Images in a row that end the actor, and none that does not: the images are not to blame."""
TRIAL = -1
"""Number of a shard whose files nobody reads."""

logger = logging.getLogger(__name__)


def one_by_one(row: Row, pool: Pool, stage: Stage, bad: BadImages | None, title: str) -> Row:
    """The actor's row for a shard, without the images on which it dies.

    Raises:
        DataError: names such an image, where bad files are to be refused.
        CampaignError: it dies on the images together, or on whatever image it is given.
        AtalError: what the stage raised.
    """
    images = f"images {row['start'] + 1} to {row['stop']}"
    logger.warning("%s: workers died %d times on %s, which are tried one by one", title, DEATHS, images)
    with _Alone(pool, stage, title) as alone:
        deadly = list(_deadly(row, alone, title))
        if deadly and bad is not None and bad.on_bad_file == "refuse":
            raise DataError(f"{title}: {bad.name(row, deadly[0])}: {REASON}; {bad.advice}")
        for number in deadly:
            name = bad.name(row, number) if bad is not None else f"image {number + 1}"
            logger.warning("%s: %s is left out: %s", title, name, REASON)
        found = alone.call_twice({**row, LEFT_OUT: dict.fromkeys(deadly, REASON)})
    if found is None:
        raise CampaignError(
            f"{title}: a worker's process ends on {images} together, but on none of the others alone: it may "
            "need more memory; lower query.batch-size or query.shard-size in another campaign"
        )
    return found


def _deadly(row: Row, alone: "_Alone", title: str) -> Iterator[int]:
    """The images that end the actor, twice."""
    survived = 0
    for tried, number in enumerate(range(row["start"], row["stop"])):
        if alone.call_twice({**row, "shard": TRIAL, "start": number, "stop": number + 1}) is not None:
            survived += 1
            continue
        yield number
        if tried + 1 >= MANY and not survived:
            raise CampaignError(
                f"{title}: a worker's process ended without a word on each of {MANY} images, so it is none "
                "of them: look for a crash in its log (/tmp/ray/session_latest/logs), and for its memory"
            )


class _Alone:
    """An actor that loads and scores; a fresh one where it died."""

    def __init__(self, pool: Pool, stage: Stage, title: str) -> None:
        self.pool, self.stage, self.title = pool, stage, title
        self.actor: Any = None

    def __enter__(self) -> "_Alone":
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def call_twice(self, row: Row) -> Row | None:
        """The actor's row; None where its process ended both times: once may be the machine's end."""
        found = self.call(row)
        return self.call(row) if found is None else found

    def call(self, row: Row) -> Row | None:
        """The actor's row; None where its process ended."""
        if self.actor is None:
            self.actor = started(_LoadAndScore, self.pool.place, self.title, self.stage)
        try:
            found: Row = ray.get(self.actor.call.remote(row))
        except RayActorError:
            self._end()
            return None
        except Exception as error:
            raise plain_error(error, self.title) from error
        return found

    def _end(self) -> None:
        if self.actor is not None:
            ray.kill(self.actor)
        self.actor = None


class _LoadAndScore(LoadAndScore):
    def ready(self) -> None:
        """It has room."""

    def call(self, row: Row) -> Row:
        return self(row)
