"""One label for each question, and how far people agree."""

import numpy as np
import pytest

from atal_ray.annotation.page.answer_log import LogEntry, latest
from atal_ray.annotation.page.answers_of_people import Pace, cohens_kappa, labels_of, paces


def said(*rows: tuple[str, int, int]) -> dict[int, dict[str, LogEntry]]:
    entries = [
        LogEntry(who, question, label, 100 * number, float(number))
        for number, (who, question, label) in enumerate(rows, 1)
    ]
    return latest(entries)


def test_most_people_decide_and_a_tie_is_unsure() -> None:
    found = said(("a", 0, 1), ("a", 1, 1), ("b", 1, 0), ("a", 2, 0), ("b", 2, 1), ("c", 2, 0))
    assert labels_of(found) == {0: 1, 1: 255, 2: 0}


def test_pace_counts_answers_and_what_was_shared() -> None:
    found = paces(said(("a", 0, 1), ("a", 1, 1), ("b", 1, 1), ("a", 2, 0), ("b", 2, 0)))
    assert found == {"a": Pace(3, 200, 2, 1.0), "b": Pace(2, 400, 2, 1.0)}
    assert paces({}) == {}


def test_kappa_is_agreement_beyond_chance() -> None:
    rng = np.random.default_rng(0)
    first = rng.integers(0, 2, 500)
    second = np.where(rng.random(500) < 0.2, 1 - first, first)
    both = (first == second).mean()
    chance = sum((first == label).mean() * (second == label).mean() for label in (0, 1))
    pairs = list(zip(first.tolist(), second.tolist(), strict=True))
    assert cohens_kappa(pairs) == pytest.approx((both - chance) / (1 - chance))
    assert cohens_kappa([(1, 1), (0, 0)]) == 1
    assert cohens_kappa([(1, 0), (0, 1)]) == -1
    assert cohens_kappa([]) is None
    assert cohens_kappa([(1, 1)] * 3) is None, "who always says one thing agrees by chance"
