"""The plug-ins of acquisition by name: a new one is a file and a line here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atal_ray.config.plugins import Registry

if TYPE_CHECKING:
    from atal_ray.acquisition.methods.method import Method
    from atal_ray.acquisition.scores.pixel_score import PixelScore
    from atal_ray.acquisition.strategies.strategy import Strategy

_HERE = "atal_ray.acquisition"

SCORES: Registry[PixelScore] = Registry(
    "query.score",
    f"{_HERE}.scores.pixel_score:PixelScore",
    {
        "flip-margin": f"{_HERE}.scores.adversarial:FlipMargin",
        "margin-change": f"{_HERE}.scores.adversarial:MarginChange",
        "entropy": f"{_HERE}.scores.certainty:Entropy",
        "margin": f"{_HERE}.scores.certainty:Margin",
        "bald": f"{_HERE}.scores.disagreement:Bald",
        "boundary": f"{_HERE}.scores.slope:Slope",
        "impurity": f"{_HERE}.scores.impurity:Impurity",
        "vote-entropy": f"{_HERE}.methods.mcdr:VoteEntropy",
        "predicted-loss": f"{_HERE}.methods.llal:PredictedLoss",
        "unlabelled": f"{_HERE}.methods.ta_vaal:Unlabelled",
        "influence": f"{_HERE}.methods.isal:Influence",
        "true-loss": f"{_HERE}.methods.true_loss:TrueLoss",
    },
)
STRATEGIES: Registry[Strategy] = Registry(
    "query.strategy",
    f"{_HERE}.strategies.strategy:Strategy",
    {
        "rds": f"{_HERE}.strategies.diverse:Diverse",
        "top": f"{_HERE}.strategies.most_uncertain:MostUncertain",
        "top-share": f"{_HERE}.strategies.top_share:TopShare",
        "power": f"{_HERE}.strategies.power:Power",
        "random": f"{_HERE}.strategies.at_random:AtRandom",
        "foreground": f"{_HERE}.strategies.by_class:ByClass",
        "centre": f"{_HERE}.strategies.around_centre:AroundCentre",
        "superpixels": f"{_HERE}.strategies.in_superpixels:InSuperpixels",
        "grid": f"{_HERE}.strategies.spread_out:SpreadOut",
        "windows": f"{_HERE}.methods.mcdr:Windows",
        "core-set": f"{_HERE}.methods.cset:CoreSet",
        "random-subset": f"{_HERE}.methods.llal:RandomSubset",
    },
)
METHODS: Registry[Method] = Registry(
    "query.method",
    f"{_HERE}.methods.method:Method",
    {
        "atal": f"{_HERE}.methods.atal:Atal",
        "ent": f"{_HERE}.methods.ent:Ent",
        "den": f"{_HERE}.methods.den:Den",
        "bald": f"{_HERE}.methods.snapshot_bald:SnapshotBald",
        "mcdr": f"{_HERE}.methods.mcdr:Mcdr",
        "cset": f"{_HERE}.methods.cset:Cset",
        "llal": f"{_HERE}.methods.llal:Llal",
        "ta-vaal": f"{_HERE}.methods.ta_vaal:TaVaal",
        "nes": f"{_HERE}.methods.nes:Nes",
        "isal": f"{_HERE}.methods.isal:Isal",
        "pixelpick": f"{_HERE}.methods.pixelpick:PixelPick",
        "ripu": f"{_HERE}.methods.ripu:Ripu",
        "clasp": f"{_HERE}.methods.clasp:Clasp",
        "random": f"{_HERE}.methods.baselines:Random",
        "foreground": f"{_HERE}.methods.baselines:Foreground",
        "centre": f"{_HERE}.methods.baselines:Centre",
        "superpixels": f"{_HERE}.methods.baselines:Superpixels",
        "grid": f"{_HERE}.methods.baselines:Grid",
        "boundary": f"{_HERE}.methods.baselines:Boundary",
        "oracle": f"{_HERE}.methods.true_loss:Oracle",
    },
)
