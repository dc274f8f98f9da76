"""What the results say of each claim of the paper: it holds, does not hold, or cannot be decided."""

from collections.abc import Sequence
from typing import Any

from atal_ray.studies.paper.arm import MARGIN, TEN, Arm, Claim
from atal_ray.studies.paper.places import MEASURES
from atal_ray.studies.paper.reading import Reading

Verdict = str
SEEDS = 3
"""Fewer decide nothing."""
HOLDS, FAILS, UNDECIDED, OPEN = "holds", "does not hold", "not decidable at this scale", "not finished"


def judge(reading: Reading, claim: Claim) -> dict[str, Any]:
    """What the results say of a claim at ten clicks, on all test sets together.

    Args:
        reading: of its arms.
        claim: which it is.

    Returns:
        The fields of the claim, `clicks`, `verdict`, and what it rests on: `differences` of maxF by test set,
        or what was measured `of_arms`.
    """
    arm, other = reading.arm(claim.arm), reading.arm(claim.other)
    at = near_ten(arm)
    if claim.kind in MEASURES:
        return {**vars(claim), "clicks": at, **_judge_measure(reading, claim, at)}
    apart = {name: reading.difference(arm, other, name, at, share=claim.share) for name in reading.sets}
    complete = all(found and found["seeds"] == list(reading.seeds) for found in apart.values())
    verdict = _verdict(claim, list(apart.values())) if complete and apart else OPEN
    if len(reading.seeds) < SEEDS and verdict != OPEN:
        verdict = UNDECIDED
    return {**vars(claim), "clicks": at, "verdict": verdict, "differences": apart}


def near_ten(arm: Arm) -> int | None:
    """The clicks of an arm at which claims are judged: ten, or as near as its rounds come."""
    return min(arm.clicks, key=lambda clicks: (abs(clicks - TEN), clicks), default=None)


def _judge_measure(reading: Reading, claim: Claim, at: int | None) -> dict[str, Any]:
    """Of a claim about snapshots or points: it is decided where all seeds agree."""
    ours, theirs = (reading.measured(reading.arm(name), claim.kind, at) for name in (claim.arm, claim.other))
    complete = len(ours) == len(theirs) == len(reading.seeds)
    apart = [a - b for a, b in zip(ours, theirs, strict=True)] if complete else []
    if not MEASURES[claim.kind].higher_is_better:
        apart = [-value for value in apart]
    verdict = UNDECIDED if complete else OPEN
    if len(apart) >= SEEDS and all(value > 0 for value in apart):
        verdict = HOLDS
    if len(apart) >= SEEDS and all(value < 0 for value in apart):
        verdict = FAILS
    return {"verdict": verdict, "differences": {}, "of_arms": [ours, theirs]}


def _verdict(claim: Claim, apart: Sequence[dict[str, Any]]) -> Verdict:
    if claim.kind == "alike":
        if all(found["low"] >= -MARGIN and found["high"] <= MARGIN for found in apart):
            return HOLDS
        beyond = any(found["low"] > MARGIN or found["high"] < -MARGIN for found in apart)
        return FAILS if beyond else UNDECIDED
    if all(found["decided"] and found["difference"] > 0 for found in apart):
        return HOLDS
    return FAILS if any(found["decided"] and found["difference"] < 0 for found in apart) else UNDECIDED
