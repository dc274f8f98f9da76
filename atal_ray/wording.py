"""Words of the sentences for people: numbers with their nouns, commands to copy, names that were meant."""

import shlex
from collections.abc import Iterable
from difflib import get_close_matches


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
