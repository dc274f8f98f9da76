"""What the results say of each claim of the paper: it holds, does not hold, or cannot be decided."""

from collections.abc import Sequence
from typing import Any

from atal_ray.studies.paper.arm import MARGIN, TEN, Claim
from atal_ray.studies.paper.places import MEASURES
from atal_ray.studies.paper.reading import Reading

Verdict = str
SEEDS = 3
"""Fewer decide nothing."""
HOLDS, FAILS, UNDECIDED, OPEN = "holds", "does not hold", "not decidable at this scale", "not finished"


def judge_claims(reading: Reading, claims: Sequence[Claim]) -> list[dict[str, Any]]:
    """The claims about arms that are there, each with its verdict and what it rests on."""
    there = {arm.name for arm in reading.arms}  # a base may have an arm's own value
    return [judge(reading, claim) for claim in claims if {claim.arm, claim.other} <= there]


def judge(reading: Reading, claim: Claim) -> dict[str, Any]:
    """What the results say of a claim, on all test sets together."""
    if claim.kind in MEASURES:
        return _judge_measure(reading, claim)
    arm, other = reading.arm(claim.arm), reading.arm(claim.other)
    at = max((clicks for clicks in arm.clicks if clicks <= TEN), default=None)
    apart = {name: reading.difference(arm, other, name, at, share=claim.share) for name in reading.sets}
    complete = all(found and found["seeds"] == list(reading.seeds) for found in apart.values())
    verdict = _verdict(claim, list(apart.values())) if complete and apart else OPEN
    if len(reading.seeds) < SEEDS and verdict != OPEN:
        verdict = UNDECIDED
    return {**vars(claim), "clicks": at, "verdict": verdict, "differences": apart}


def _judge_measure(reading: Reading, claim: Claim) -> dict[str, Any]:
    """A claim about snapshots or points: it is decided where all seeds agree."""
    ours, theirs = (reading.measured(reading.arm(name), claim.kind) for name in (claim.arm, claim.other))
    complete = len(ours) == len(theirs) == len(reading.seeds)
    apart = [a - b for a, b in zip(ours, theirs, strict=True)] if complete else []
    if not MEASURES[claim.kind].higher_is_better:
        apart = [-value for value in apart]
    verdict = UNDECIDED if complete else OPEN
    if len(apart) >= SEEDS and all(value > 0 for value in apart):
        verdict = HOLDS
    if len(apart) >= SEEDS and all(value < 0 for value in apart):
        verdict = FAILS
    return {**vars(claim), "verdict": verdict, "differences": {}, "of_arms": [ours, theirs]}


def _verdict(claim: Claim, apart: Sequence[dict[str, Any]]) -> Verdict:
    if claim.kind == "alike":
        if all(found["low"] >= -MARGIN and found["high"] <= MARGIN for found in apart):
            return HOLDS
        beyond = any(found["low"] > MARGIN or found["high"] < -MARGIN for found in apart)
        return FAILS if beyond else UNDECIDED
    if all(found["decided"] and found["difference"] > 0 for found in apart):
        return HOLDS
    return FAILS if any(found["decided"] and found["difference"] < 0 for found in apart) else UNDECIDED
