"""The results of a study: its table, its claims, and whatever else its page shows."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from atal_ray.campaign.campaign_folder import MANIFEST, TRAINING
from atal_ray.config import Config, config_file
from atal_ray.evaluation.published import lookup
from atal_ray.evaluation.published import methods as published_methods
from atal_ray.evaluation.score_table import TABLE_2, ScoreTable, score_table
from atal_ray.report.numbers import read_numbers
from atal_ray.report.predictions_file import read_predictions
from atal_ray.report.shown_images import ShownImage, read_gallery
from atal_ray.report.shown_tests import shown_predictions
from atal_ray.studies.paired_bootstrap import spread
from atal_ray.studies.paper.arm import Arm, Claim, PaperStudy, at_ten
from atal_ray.studies.paper.arms_of_paper import on_points_of, printed, starred, with_networks
from atal_ray.studies.paper.judging import judge, near_ten
from atal_ray.studies.paper.places import MEASURES, density_of
from atal_ray.studies.paper.reading import Reading
from atal_ray.studies.paper.rivals import Rivals
from atal_ray.training.schedule import batches_per_epoch, learning_rate

TABLE_3 = {
    "MINet": {"MINet": 0.974, "F3Net": 0.968, "PFSN": 0.963},
    "F3Net": {"MINet": 0.964, "F3Net": 0.972, "PFSN": 0.965},
    "PFSN": {"MINet": 0.961, "F3Net": 0.966, "PFSN": 0.975},
}
"""Whose points -> network trained on them -> share of its full supervision. The paper does not say which of
the two its rows are: here they are taken for the network, as their corner says "Test".
"""
MOST_RATES = 400
"""Iterations whose learning rate is drawn."""


@dataclass(frozen=True)
class StudyResult:
    """What was found.

    Args:
        found: all figures, as the JSON has them.
        layout: the paper's layout of all metrics, for a study that has it.
        pictures: test set -> images with the predictions of the arms.
        maps: training images with the maps that queries looked at.
    """

    found: dict[str, Any]
    layout: ScoreTable | None = None
    pictures: Mapping[str, Sequence[ShownImage]] = field(default_factory=dict)
    maps: tuple[ShownImage, ...] = ()


def results_of(name: str, study: PaperStudy, reading: Reading, base: Config, rivals: Rivals) -> StudyResult:
    """All that is known of a study.

    Args:
        name: of the study.
        study: which it is.
        reading: of its arms.
        base: the campaign that the arms differ from.
        rivals: maps of other methods.
    """
    claims = study.claims(base)
    found: dict[str, Any] = {
        "study": name,
        "title": study.title,
        "sets": list(reading.sets),
        "rows": [reading.row(arm) for arm in reading.arms],
        "claims": [judge(reading, claim) for claim in claims],
        "published": {arm: list(values) for arm, values in study.published.items()},
        "measures": _measures(claims, reading),
    }
    if study.curves:
        found["curves"] = {
            arm.name: [reading.row(arm, clicks) for clicks in arm.clicks or (None,)] for arm in reading.arms
        }
    if study.axes is not None:
        found["axes"] = study.axes(base)
    data: dict[str, Callable[[], Any]] = {
        "training": lambda: {arm.name: _training(reading, arm) for arm in reading.arms if reading.done(arm)},
        "places": lambda: {arm.name: _density(reading, arm) for arm in reading.arms if reading.done(arm)},
        "cross": lambda: _cross(reading, base),
    }
    found |= {part: data[part]() for part in study.parts if part in data}
    layout = None
    if "layout" in study.parts:
        found["layout_seeds"], layout = _layout(reading, rivals)
        found["layout"] = asdict(layout) if layout else None
    pictures = _pictures(reading, base, rivals) if "pictures" in study.parts else {}
    return StudyResult(found, layout, pictures, _maps(reading) if "maps" in study.parts else ())


def _measures(claims: Sequence[Claim], reading: Reading) -> dict[str, dict[str, Any]]:
    """What claims measure besides maxF, near ten clicks -> arm -> mean and range over seeds."""
    found: dict[str, dict[str, Any]] = {}
    for kind in dict.fromkeys(claim.kind for claim in claims if claim.kind in MEASURES):
        values = {arm.name: reading.measured(arm, kind, near_ten(arm)) for arm in reading.arms}
        label = f"{MEASURES[kind].label}, near ten clicks"
        found[label] = {name: spread(each) for name, each in values.items() if each}
    return found


def _training(reading: Reading, arm: Arm) -> dict[str, Any]:
    """Of the last round: loss by epoch and delta (Eq. 7) by snapshot over the seeds; the learning rate by
    epochs that have passed, in some iterations of the first seed.
    """
    last, seeds = reading.round_at(arm, None), reading.done(arm)
    logs = [reading.campaign(arm, seed).round(last).read_json(TRAINING)["epochs"] for seed in seeds]
    losses = [[entry["loss"] for entry in log] for log in logs]
    deltas = [[entry["delta"] for entry in log if "delta" in entry] for log in logs]
    train, images = arm.config.train, reading.campaign(arm, seeds[0]).root.count_rows(MANIFEST)
    each = batches_per_epoch(images, train.batch_size, train.drop_last)
    total = each * train.epochs
    iterations = np.unique(np.linspace(1, total, min(total, MOST_RATES)).astype(int))
    schedule = each, train.epochs, train.cycles, train.lr_max, train.lr_min
    return {
        "loss": [[at, spread(values)] for at, values in enumerate(zip(*losses, strict=True), start=1)],
        "delta": [[at, spread(values)] for at, values in enumerate(zip(*deltas, strict=True), start=2)],
        "rate": [[i / each, learning_rate(train.schedule, int(i), *schedule)] for i in iterations],
    }


def _density(reading: Reading, arm: Arm) -> list[list[float]]:
    """Where the points of an arm lie in their images near ten clicks, of all seeds together."""
    number = reading.round_at(arm, near_ten(arm))
    rounds = [(reading.campaign(arm, seed), number) for seed in reading.done(arm, near_ten(arm))]
    return [[round(float(value), 3) for value in row] for row in density_of(rounds)]


def _cross(reading: Reading, base: Config) -> dict[str, Any]:
    """Test set -> whose points -> network trained on them -> its share of full masks, and the paper's."""
    networks = with_networks(at_ten(base))
    names = [printed(of) for of in networks]

    def share(source: Config, of: Config, test_set: str) -> dict[str, Any]:
        arm = starred(of) if of == source else on_points_of(of, source)
        ours, full = (_max_f(reading, name, test_set) for name in (arm, printed(of)))
        shares = [ours[seed] / full[seed] for seed in ours if full.get(seed)]
        paper = TABLE_3.get(printed(source), {}).get(printed(of))
        return {"of_full": spread(shares) if shares else None, "paper": paper}

    return {
        test_set: {
            printed(source): dict(zip(names, (share(source, of, test_set) for of in networks), strict=True))
            for source in networks
        }
        for test_set in reading.sets
    }


def _max_f(reading: Reading, name: str, test_set: str) -> dict[int, float]:
    """Seed -> maxF of an arm on a test set."""
    arm = reading.arm(name)
    return dict(zip(reading.done(arm), reading.figures(arm, test_set)["max_f"], strict=True))


def _layout(reading: Reading, rivals: Rivals) -> tuple[list[int], ScoreTable | None]:
    """All metrics that the paper prints, of the arms, of the rivals, and as the paper has them; a network's
    maxF also as a share of its own full supervision. Arms are means over the seeds that all of them have.
    """
    done = {arm.name: reading.done(arm) for arm in reading.arms}
    seeds = [seed for seed in reading.seeds if all(seed in mine for mine in done.values() if mine)]
    results = {}
    for test_set in reading.sets:
        there = [arm for arm in reading.arms if done[arm.name] and seeds]
        mine = {arm.name: reading.metrics(arm, test_set, seeds) for arm in there}
        results[test_set] = {**mine, **rivals.metrics(test_set)}
    measured = tuple(dict.fromkeys(method for found in results.values() for method in found))
    if not measured:
        return seeds, None
    known = any(lookup(name, "maxF", method) for name in results for method in published_methods())
    columns = tuple(dict.fromkeys((*(published_methods() if known else ()), *measured)))
    full = {arm.name: arm.name.split("*")[0] for arm in reading.arms if arm.clicks}
    references = {name: of for name, of in full.items() if {name, of} <= set(measured)}
    return seeds, score_table(results, TABLE_2, columns, references or None, published=known)


def _pictures(reading: Reading, base: Config, rivals: Rivals) -> dict[str, list[ShownImage]]:
    """What the arms of the first seed that most of them have, and the rivals, predict of a few images of each
    test set.
    """
    counts = Counter(seed for arm in reading.arms for seed in reading.done(arm))
    seed = max(reading.seeds, key=lambda one: counts[one])
    named = {arm.name: read_predictions(reading.place(arm, seed)) for arm in reading.arms}
    shown = dict.fromkeys(image for predictions in named.values() for image in predictions)
    first = reading.campaign(reading.arms[0], seed)
    return shown_predictions(first, base, reading.sets, {**named, **rivals.predictions(shown)})


def _maps(reading: Reading) -> tuple[ShownImage, ...]:
    """The maps and points of a few training images, of the first seed that is finished."""
    arm = reading.arms[0]
    seeds = reading.done(arm)
    if not seeds:
        return ()
    campaign = reading.campaign(arm, seeds[0])
    config = config_file.of_campaign(campaign.root)
    numbers = read_numbers(campaign, config)
    wanted = reading.round_at(arm, None) + 1  # another study may have gone on
    gallery = read_gallery(campaign, config, replace(numbers, rounds=numbers.rounds[:wanted]))
    problems = (ShownImage("maps", problem=gallery.problem),) if gallery.problem else ()
    return (*problems, *gallery.images)
