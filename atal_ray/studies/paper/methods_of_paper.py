"""The methods that the paper compares, each as a campaign that trains as the method needs."""

from dataclasses import replace

from atal_ray.config import Config
from atal_ray.studies.paper.arm import ATAL, deep_ensemble
from atal_ray.studies.sweep.plan import with_fields

RIVALS = {
    "ISAL": "isal",
    "NES": "nes",
    "TA-VAAL": "ta-vaal",
    "LLAL": "llal",
    "MCDR": "mcdr",
    "CSET": "cset",
    "DEN": "den",
    "ENT": "ent",
}
"""Of Fig. 7, as the paper writes them."""
BASELINES = {"random": "random", "foreground": "foreground"}
DROPOUT = 0.25


def campaign_of(base: Config, method: str) -> Config:
    """A base campaign with another method, and the training that it needs.

    Args:
        base: whose network, schedule and budget stay.
        method: its name, or module:Class.
    """
    if method == base.query.method:
        return base
    if method == "den":
        base = deep_ensemble(base)
    if method == "mcdr":
        base = replace(base, network=replace(base.network, dropout=DROPOUT))
    if method == "nes":  # L members of a pool of 2 L networks
        members = base.train.cycles
        wider = replace(base, train=replace(base.train, cycles=2 * members, epochs=2 * base.train.epochs))
        pool = replace(wider, train=replace(wider.train, ensemble="networks"))
        fields = {"query.nes.members": members, "query.nes.networks": [base.network.name]}
        return with_fields(pool, {"query.method": method, **fields})
    return with_fields(base, {"query.method": method})


def name_of(method: str) -> str:
    """How a page calls a method."""
    known = {**RIVALS, **BASELINES, ATAL: "atal"}
    return next((name for name, found in known.items() if found == method), method)
