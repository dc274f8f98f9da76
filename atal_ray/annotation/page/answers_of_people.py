"""What people said, made into one label for each question; and how quick and how unanimous they were."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from atal_ray.annotation.page.answer_log import LogEntry
from atal_ray.labels.points import UNSURE

Said = Mapping[int, Mapping[str, LogEntry]]
"""Question -> who -> entry, from `answer_log.latest`."""


def labels_of(said: Said) -> dict[int, int]:
    """The label of each question: that of the last review, else that of most people, and unsure where two
    labels have as many.
    """
    found = {}
    for question, entries in said.items():
        reviews = [entry.label for entry in entries.values() if entry.review]
        if reviews:
            assert reviews[-1] is not None
            found[question] = reviews[-1]
            continue
        votes = Counter(entry.label for entry in entries.values()).most_common(2)
        tied = len(votes) == 2 and votes[0][1] == votes[1][1]
        label = votes[0][0]
        assert label is not None
        found[question] = UNSURE if tied else label
    return found


@dataclass(frozen=True)
class Pace:
    """What one person has done.

    Args:
        answers: questions that have an answer of theirs.
        median_milliseconds: of an answer; 0 without one.
        shared: questions that somebody else has answered too.
        kappa: Cohen's kappa on these; None where it is not defined.
        controls: control points that they answered.
        right: of these, answered as is known.
    """

    answers: int
    median_milliseconds: float
    shared: int
    kappa: float | None
    controls: int = 0
    right: int = 0


def disputed(entries: Mapping[str, LogEntry]) -> bool:
    """Whether people said different things of a question, and no review has decided it."""
    reviewed = any(entry.review for entry in entries.values())
    return not reviewed and len({entry.label for entry in entries.values()}) > 1


def paces(said: Said, controls: Mapping[int, int] | None = None) -> dict[str, Pace]:
    """What each person has done, by name; reviews apart.

    Args:
        said: what people said.
        controls: control point -> what is known of it.
    """
    known = controls or {}
    answers = {
        question: {who: entry for who, entry in entries.items() if not entry.review}
        for question, entries in said.items()
    }
    names = sorted({who for entries in answers.values() for who in entries})
    asked = {question: entries for question, entries in answers.items() if question not in known}
    checks = {question: entries for question, entries in answers.items() if question in known}
    return {who: _pace(asked, who, _controlled(checks, known, who)) for who in names}


def _controlled(checks: Said, known: Mapping[int, int], who: str) -> tuple[int, int]:
    mine = [entries[who].label == known[question] for question, entries in checks.items() if who in entries]
    return len(mine), sum(mine)


def _pace(said: Said, who: str, controlled: tuple[int, int]) -> Pace:
    mine = {question: entries[who] for question, entries in said.items() if who in entries}
    pairs = [
        (entry.label, other.label)
        for question, entry in mine.items()
        for name, other in said[question].items()
        if name != who
    ]
    times = [entry.milliseconds for entry in mine.values()]
    shared = sum(len(said[question]) > 1 for question in mine)
    return Pace(len(mine), median(times) if times else 0, shared, cohens_kappa(pairs), *controlled)


def cohens_kappa(pairs: list[tuple[int | None, int | None]]) -> float | None:
    """How far two people agree beyond chance (Cohen 1960); None where both always say one thing.

        kappa = (p_o - p_e) / (1 - p_e)

    with p_o the share of equal answers and p_e what it would be were each to answer by their own shares at
    random.
    """
    if not pairs:
        return None
    equal = sum(one == other for one, other in pairs) / len(pairs)
    first, second = (Counter(column) for column in zip(*pairs, strict=True))
    chance = sum(first[label] * second[label] for label in first) / len(pairs) ** 2
    return None if chance == 1 else (equal - chance) / (1 - chance)
