"""Calls that are spread over actors, each on a machine of the Ray cluster that has room for it; inline one
after another.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from atal_ray.errors import CampaignError
from atal_ray.runtime.bad_images import DEATHS
from atal_ray.runtime.capacity import Place
from atal_ray.runtime.failure import plain_error
from atal_ray.runtime.room import LOOK_SECONDS, RoomWatch
from atal_ray.runtime.single_actor import placed

Call = Callable[[], None]

logger = logging.getLogger(__name__)


def call_on_actors(
    calls: Iterable[Call], at_once: int, *, place: Place, backend: str, title: str
) -> Iterator[None]:
    """Make every call, so many at once where there is room; yields after each that is done.

    The actors end with the last one, also where this process is interrupted.
    A call whose actor or machine is lost is made again.

    Raises:
        AtalError: why a call failed, or that its actor was lost again and again.
    """
    if backend == "inline":
        for call in calls:
            call()
            yield
        return
    import ray
    from ray.exceptions import RayActorError

    waiting = deque((call, 1) for call in calls)
    idle: list[Any] = []
    coming: dict[Any, Any] = {}
    busy: dict[Any, tuple[Any, Call, int]] = {}
    watch = RoomWatch(title, [place])
    try:
        while waiting or busy:
            while waiting and idle:
                actor, (call, tries) = idle.pop(), waiting.popleft()
                busy[actor.call.remote(call)] = (actor, call, tries)
            while len(coming) < len(waiting) and len(busy) + len(coming) < at_once:
                actor, ready = placed(Caller, place)
                coming[ready] = actor
            done, _ = ray.wait([*busy, *coming], num_returns=1, timeout=LOOK_SECONDS)
            if not done:
                if not busy:
                    watch.look()
                continue
            watch.went_on()
            if done[0] in coming:
                idle.append(coming.pop(done[0]))
                continue
            actor, call, tries = busy.pop(done[0])
            try:
                ray.get(done[0])
            except RayActorError as error:
                ray.kill(actor)
                if tries == DEATHS:
                    raise CampaignError(f"{plain_error(error, title)}; it did so {DEATHS} times") from error
                logger.warning("%s; it is tried again", plain_error(error, title))
                waiting.append((call, tries + 1))
                continue
            except Exception as error:
                ray.kill(actor)
                raise plain_error(error, title) from error
            idle.append(actor)
            yield
    finally:
        for actor in (*idle, *coming.values(), *(actor for actor, _, _ in busy.values())):
            ray.kill(actor)


def call_on_actor(
    function: Callable[..., None], *arguments: Any, place: Place, backend: str, title: str
) -> None:
    """Make one call, as `call_on_actors` makes many."""
    for _ in call_on_actors([partial(function, *arguments)], 1, place=place, backend=backend, title=title):
        pass


class Caller:
    """An actor that does what it is told."""

    def ready(self) -> None:
        """It has room."""

    def call(self, function: Call) -> None:
        """Make a call."""
        function()
