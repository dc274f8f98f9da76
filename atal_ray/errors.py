"""Errors a person can act on: the CLI prints the message as it stands and exits with status 2,
or 75 where it waits for people.
"""

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches


class AtalError(Exception):
    """Base of every error whose message is written for the user."""


class ConfigError(AtalError):
    """An impossible or contradictory configuration."""


class DataError(AtalError):
    """A missing, unreadable or inconsistent image, mask, folder or table."""


class ChangedError(DataError):
    """An image or mask that is another file than the one a campaign began with."""


class CheckpointError(AtalError):
    """Weights that are missing, damaged or belong to another network."""


class CampaignError(AtalError):
    """A campaign folder that is in use, was started differently, or waits for answers."""


class WaitingError(CampaignError):
    """A campaign that goes on when people have answered; the CLI exits with status 75."""


class DivergedError(AtalError):
    """A training whose loss, or whose network's output, is no longer a finite number."""


class StoreError(CampaignError):
    """An object store that cannot be reached, denies access, or has no such bucket."""


def short_reason(error: BaseException) -> str:
    """The kind of an error of a library, and the first line of what it says."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


@contextmanager
def reworded(words: Mapping[str, str]) -> Iterator[None]:
    """Say sentences of errors in the words of another command.

    Args:
        words: regular expression -> what stands in its place.
    """
    try:
        yield
    except AtalError as error:
        said = str(error)
        for pattern, own in words.items():
            said = re.sub(pattern, own, said)
        if said == str(error):
            raise
        raise type(error)(said) from error


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun: 1 image, 2,000 images.

    Args:
        number: how many.
        noun: what one is called.
        plural: what several are called; unset: the noun with an s.
    """
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def command(*words: object) -> str:
    """A command of this program between backticks, quoted for a shell: `atal resume 'my runs/first'`."""
    return f"`{shlex.join(['atal', *map(str, words)])}`"


def meant(word: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown name, as ", did you mean cycles?"; empty if none is near."""
    near = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f", did you mean {near[0]}?" if near else ""
