"""The sentence behind a failure on another machine: Ray wraps what a worker raised."""

import re
from collections.abc import Iterator

from atal_ray import errors
from atal_ray.errors import AtalError, CampaignError

# Ray Data hands on only the text of what a stage raised.
_OWN = re.compile(r"^\s*atal_ray\.errors\.(\w+): (.+)", re.MULTILINE)
_ENDED = "a worker's process ended without a word: a crash in a library, or its machine is gone"
_DEATHS = {
    "ActorDiedError": _ENDED,
    "ActorUnavailableError": _ENDED,
    "NodeDiedError": _ENDED,
    "OutOfMemoryError": "a machine ran out of memory, so Ray ended a worker on it",
    "WorkerCrashedError": _ENDED,
    "WorkerHealthCheckTimeoutError": "a worker did not answer for minutes: its machine hangs or is cut off",
}
"""What Ray's names for the death of a process mean."""


def plain_error(error: BaseException, work: str) -> AtalError:
    """The worker's own error where one in the chain is written for people, else one sentence with the
    innermost cause.

    Args:
        error: what Ray raised.
        work: what was being done.
    """
    own = own_error(error)
    if own is not None:
        return own
    chain = list(_chain(error))
    for cause in reversed(chain):
        if type(cause).__name__ in _DEATHS:
            return CampaignError(f"{work} failed: {_DEATHS[type(cause).__name__]}")
    lines = str(chain[-1]).strip().splitlines() or ["no message"]
    return CampaignError(f"{work} failed: {type(chain[-1]).__name__}: {lines[-1]}")


def own_error(error: BaseException) -> AtalError | None:
    """The worker's own error where one in the chain, or in the text that Ray made of it, is written for
    people.
    """
    chain = list(_chain(error))
    for cause in reversed(chain):
        if isinstance(cause, AtalError):
            return type(cause)(str(cause))
    sentences = [found for cause in chain for found in _OWN.findall(str(cause))]
    if not sentences:
        return None
    name, sentence = sentences[-1]
    found: AtalError = getattr(errors, name, CampaignError)(sentence)
    return found


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and all that it wraps, each once, outermost first."""
    waiting, seen = [error], set()
    while waiting:
        current = waiting.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        inner = [
            *getattr(current, "worker_failures", {}).values(),
            getattr(current, "cause", None),
            getattr(current, "health_check_failure", None),  # Ray Train asked a worker that was dead
            getattr(current, "controller_failure", None),
            current.__cause__,
        ]
        waiting += [cause for cause in inner if isinstance(cause, BaseException)]
