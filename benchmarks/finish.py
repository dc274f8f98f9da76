"""From points to masks and a network: what each choice of `atal finish` brings on real images.

    python benchmarks/finish.py --train /path/to/DUTS-TR --test /path/to/ECSSD --weights resnet50.pth \
        --out runs/finish --held-out held_out.txt

Campaigns of several ways to choose the clicks, without Ray on one CPU thread, start from the same random
points and share the first round; a round goes on from the last snapshot of the one before. Networks train in
bfloat16 with `--half`, as on a GPU: twice as fast on a CPU that computes in it. On top of the campaigns stand
finishes; an arm of several trainings leaves a row for each of them. `full masks` is the network's own recipe
of full supervision on as many epochs. Test images are of a second data set and of a list of ids that nothing
trains on. An interrupted run goes on where it was;
`--figures-only` writes what is finished of it.

Writes benchmarks/results/finish.json: of each row means and ranges over seeds, clicks, images trained on and
device seconds, its share of full masks, the shares of pixels of its targets that are wrong; and the paired
bootstrap over the test images against the row that it is to be compared with: a difference is decided where
the interval leaves out 0 and all seeds agree. Prints a table.
"""

import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any, Literal
from unittest.mock import patch

import cv2
import numpy as np
import torch
import tyro
from image_scores import FIGURES, Figures, compared, draws, resampled, score_images, spread
from machine import provenance
from real_images import RealImages, data_of, lay_out, network_of, test_sets
from unit_pool import half, run_units

from atal_ray.campaign.campaign_folder import CampaignFolder
from atal_ray.campaign.cost import read_cost
from atal_ray.campaign.finish import delivered
from atal_ray.campaign.finish import finish as stage
from atal_ray.campaign.finish.finish_plan import FINISH_PLAN, ClickTeacher, Finish
from atal_ray.campaign.finish.known import Known
from atal_ray.campaign.finish.shares import SHARES
from atal_ray.campaign.finish.teacher import TeacherShard
from atal_ray.campaign.life import run_in
from atal_ray.campaign.run import run_campaign
from atal_ray.config import BudgetConfig, Config, TrainConfig, presets
from atal_ray.data.manifest import build_manifest
from atal_ray.data.record import Record, records
from atal_ray.labels.points import UNSURE
from atal_ray.networks.snapshot_reader import read_snapshots
from atal_ray.runtime.session import campaign_session
from atal_ray.store.folder import Folder
from atal_ray.studies.sweep.sharing import share_first_round, share_start

RESULT = Path(__file__).parent / "results" / "finish.json"
MEASURES = ("atal_ray.acquisition", "atal_ray.campaign", "atal_ray.labels", "atal_ray.training")
START, FULL = "start", "full masks"
BAND = 0.02
"""Width of the border on either side, over the longer side of an image."""
SIZES = ("images", "test_images", "side", "epochs", "cycles", "finish_epochs", "start", "half")


@dataclass(frozen=True)
class Clicks:
    """A campaign: how its clicks are chosen."""

    method: str
    per_round: int
    total: int


@dataclass(frozen=True)
class Finished:
    """A finish of a campaign.

    Args:
        campaign: that is finished.
        rows: a name for the network of each training; one that another finish has too is left out here.
        options: what differs from the defaults of `atal finish`.
        clicks: the same of its section `clicks`, if a network is trained on labelled pixels alone.
        truth: where the true mask replaces the target, to see what the rest costs: in the regions of clicks,
            near the true border, or in images of whose object less than half is found.
    """

    campaign: str
    rows: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)
    clicks: dict[str, Any] | None = None
    truth: Literal["", "regions", "borders", "missed"] = ""

    @property
    def by_clicks_alone(self) -> bool:
        """Whether it ends with the network that is trained on labelled pixels alone."""
        return self.clicks is not None and len(self.rows) == 1


CAMPAIGNS = {
    "random": Clicks("random", 4, 10),
    "foreground": Clicks("foreground", 4, 10),
    "atal": Clicks("atal", 4, 10),
    "atal of 5": Clicks("atal", 3, 5),
}
FINISHES = {
    "atal, finished": Finished("atal", ("atal, finished", "atal, second pass"), {"passes": 2}),
    "random, finished": Finished("random", ("random, finished",)),
    "foreground, finished": Finished("foreground", ("foreground, finished",)),
    "atal of 5, finished": Finished("atal of 5", ("atal of 5, finished",)),
    "atal, both teachers": Finished(
        "atal",
        ("clicks alone", "atal, both teachers"),
        clicks={},
    ),
    "atal, weighted": Finished("atal", ("atal, weighted",), {"targets": "weighted"}),
    "atal, finer": Finished("atal", ("atal, finer",), {"finer": 4}),
    "atal, best set": Finished("atal", ("atal, best set",), {"targets": "weighted", "finer": 4}),
    "atal, truth in regions": Finished("atal", ("atal, truth in regions",), truth="regions"),
    "atal, truth at borders": Finished("atal", ("atal, truth at borders",), truth="borders"),
    "atal, truth of missed": Finished("atal", ("atal, truth of missed",), truth="missed"),
    "atal, soft": Finished("atal", ("atal, soft",), {"targets": "soft"}),
    "atal, sieved": Finished("atal", ("atal, sieved",), {"sieve": 2.0}),
    "atal, agreement": Finished("atal", ("atal, agreement",), {"agreement": True}),
    "clicks, equal": Finished("atal", ("clicks, equal",), clicks={"balance": "equal"}),
    "clicks, area": Finished("atal", ("clicks, area",), clicks={"balance": "area"}),
    "clicks, border": Finished("atal", ("clicks, border",), clicks={"border": 0.1}),
    "clicks, coherence": Finished("atal", ("clicks, coherence",), clicks={"coherence": 0.3}),
    "clicks, consistency": Finished("atal", ("clicks, consistency",), clicks={"consistency": 1.0}),
    "clicks, sieved": Finished("atal", ("clicks, sieved",), {"sieve": 2.0}, clicks={}),
    "clicks, agreement": Finished("atal", ("clicks, agreement",), {"agreement": True}, clicks={}),
}


def beside(row: str) -> str | None:
    """The row that one is compared with."""
    if row in (FULL, "atal"):
        return None
    if row in CAMPAIGNS or row == "atal, finished":
        return "atal"
    return "clicks alone" if row.startswith("clicks, ") else "atal, finished"


@dataclass(frozen=True, kw_only=True)
class Options(RealImages):
    """What is run."""

    out: Path = Path("runs/finish")
    """Where the campaigns and finishes go."""
    arms: tuple[str, ...] = (FULL, *CAMPAIGNS, *FINISHES)
    seeds: tuple[int, ...] = (0, 1, 2)
    images: int = 300
    test_images: int = 150
    """Of each test set."""
    side: int = 128
    epochs: int = 6
    """Of a round."""
    cycles: int = 2
    finish_epochs: int = 8
    """Of a training on masks."""
    start: int = 2
    half: bool = True
    """Train and query in bfloat16."""


def configure(options: Options, arm: str, seed: int) -> Config:
    """The campaign of an arm."""
    base = presets.cpu_small()
    config = replace(
        base,
        seed=seed,
        data=data_of(options, options.images),
        network=network_of(options),
        train=TrainConfig(
            size=options.side,
            scales=(options.side,),
            epochs=options.epochs,
            cycles=options.cycles,
            batch_size=8,
            lr_max=base.train.lr_max,
            warm_start=True,
            threads=1,
        ),
        query=replace(
            base.query, threads=1, shard_size=32, precision="bfloat16" if options.half else "float32"
        ),
        report=replace(base.report, compare=()),
        resources=replace(
            base.resources,
            backend="inline",
            loader_workers=0,
            superpixels=str((options.out / "superpixels").resolve()),
        ),
    )
    if arm == FULL:
        recipe = replace(full_recipe(options), threads=1)
        return replace(config, train=recipe, regions=replace(config.regions, labels="dense"))
    if arm == START:
        return replace(config, budget=BudgetConfig(start=options.start, per_round=1, total=options.start))
    clicks = CAMPAIGNS[arm]
    return replace(
        config,
        query=replace(config.query, method=clicks.method),
        budget=BudgetConfig(start=options.start, per_round=clicks.per_round, total=clicks.total),
    )


def full_recipe(options: Options) -> TrainConfig:
    """F3Net's recipe at this size."""
    recipe = presets.full_recipe("f3net")
    return replace(
        recipe,
        size=options.side,
        scales=(options.side,),
        epochs=options.finish_epochs,
        batch_size=8,
        lr_max=recipe.lr_max * 8 / recipe.batch_size,
    )


def place_of(options: Options, arm: str, seed: int) -> Path:
    """The folder of an arm."""
    return options.out / f"{arm.replace(',', '').replace(' ', '-')}-{seed}"


def run_unit(options: Options, unit: tuple[str, int]) -> float:
    """Run an arm of a seed to its end and score its networks; the seconds that it took in this call."""
    torch.set_num_threads(1)
    arm, seed = unit
    place, began = place_of(options, arm, seed), time.monotonic()
    if arm in FINISHES and all(note_file(options, row, seed).exists() for row in FINISHES[arm].rows):
        return 0.0  # its trainings are gone when they are scored
    with place.with_suffix(".log").open("a") as log, contextlib.redirect_stderr(log), half(options.half):
        if arm in FINISHES:
            finish_campaign(options, arm, seed)
        else:
            run_clicks(options, arm, seed)
    return time.monotonic() - began


def run_clicks(options: Options, arm: str, seed: int) -> None:
    """The campaign of an arm."""
    place, config = place_of(options, arm, seed), configure(options, arm, seed)
    campaign = CampaignFolder(Folder.at(str(place)))
    if arm in CAMPAIGNS:
        begun = CampaignFolder(Folder.at(str(place_of(options, START, seed))))
        share_start(begun, campaign, config)
        share_first_round(begun, campaign, config)
    run_campaign(config, place)
    last = config.rounds - 1
    if arm != START:
        costs = [campaign.round(number).read_json("cost.json") for number in range(config.rounds)]
        spent = sum(cost.get(kind, {}).get("device_seconds", 0.0) for cost in costs for kind in cost)
        passes = config.rounds * config.train.epochs * options.images
        clicks = None if arm == FULL else CAMPAIGNS[arm].total
        note = {"clicks": clicks, "passes": passes, "device_seconds": round(spent, 1)}
        leave(options, arm, seed, campaign, config, last, note)


def finish_campaign(options: Options, arm: str, seed: int) -> None:
    """The finish of an arm; a row for each of its trainings."""
    place, chosen = place_of(options, arm, seed), FINISHES[arm]
    plan = Finish.like(place_of(options, chosen.campaign, seed))
    plan = replace(
        plan, seed=seed, tests=(), train=replace(full_recipe(options), threads=1), **chosen.options
    )
    if chosen.clicks is not None:
        plan = replace(plan, clicks=ClickTeacher(trained=True, **chosen.clicks))
    if not chosen.by_clicks_alone:
        with scoring(options, arm, seed), true_where(chosen.truth):
            stage.finish(plan, place)
        return
    final = Folder.at(str(place))
    made = stage.Finishing.of(plan, final)
    with run_in(final, made.plan, FINISH_PLAN, started=lambda: True) as run, campaign_session(made.training):
        made.write_points(run)
        made.taught_by_clicks(run)
    score_training(options, arm, seed, made.plan, made.by_clicks(), arm)


@contextlib.contextmanager
def true_where(truth: str) -> Iterator[None]:
    """Let the true masks speak in some part of the targets."""
    known_of, written = Known.of, TeacherShard._written

    def corrected(known: Known, record: Record, image: Any, seen: Any) -> Any:
        labels = known_of(known, record, image, seen)
        return np.where(labels == UNSURE, labels, record.read_mask()).astype(np.uint8)

    def repaired(shard: TeacherShard, record: Record, saliency: Any) -> Any:
        mask = record.read_mask()
        if truth == "borders":
            saliency = np.where(near_border(mask), mask, saliency)
        elif mask.any() and (saliency[mask == 1] >= 0.5).mean() < 0.5:
            saliency = mask
        return written(shard, record, saliency.astype(np.float32))

    with contextlib.ExitStack() as stack:
        if truth == "regions":
            stack.enter_context(patch.object(Known, "of", corrected))
        elif truth:
            stack.enter_context(patch.object(TeacherShard, "_written", repaired))
        yield


def near_border(mask: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The pixels within 2 % of the longer side of the true border."""
    width = 2 * round(BAND * max(mask.shape)) + 1
    kernel = np.ones((width, width), np.uint8)
    return np.asarray(cv2.dilate(mask, kernel) != cv2.erode(mask, kernel))


@contextlib.contextmanager
def scoring(options: Options, arm: str, seed: int) -> Iterator[None]:
    """Score the network of every training of a finish before its folder goes."""
    deliver = delivered.deliver

    def scored(labelled: Any, plan: Finish, final: Folder, trainings: list[CampaignFolder]) -> None:
        deliver(labelled, plan, final, trainings)
        for row, taught in zip(FINISHES[arm].rows, trainings, strict=True):
            score_training(options, arm, seed, plan, taught, row)

    with patch.object(stage, "deliver", scored):
        yield


def score_training(
    options: Options, arm: str, seed: int, plan: Finish, taught: CampaignFolder, row: str
) -> None:
    """Score the network of a training, and note what it has cost with those before it."""
    final = Folder.at(str(place_of(options, arm, seed)))
    config = plan.training(final.uri, configure(options, START, seed))
    cost = read_cost(taught.round(0))["training"]
    shares = taught.root.read_table(SHARES).to_pylist()
    wrong = fmean(one["wrong"] for one in shares) if shares else None
    leave(options, row, seed, taught, config, 0, {**cost, "wrong": wrong})


def leave(
    options: Options,
    row: str,
    seed: int,
    campaign: CampaignFolder,
    config: Config,
    round_number: int,
    note: dict[str, Any],
) -> None:
    """Leave the scores of the test images by the snapshots of a round, and what is noted of a row."""
    networks = read_snapshots(campaign.snapshots(round_number), config, torch.device("cpu"))
    for name, images in test_images(options).items():
        score_images(networks, options.side, images, score_file(options, row, seed, name))
    note_file(options, row, seed).write_text(json.dumps(note))


def score_file(options: Options, row: str, seed: int, name: str) -> Path:
    """The scores of a test set by a row."""
    return options.out / "scores" / f"{place_of(options, row, seed).name}.{name}.npz"


def test_images(options: Options) -> dict[str, Any]:
    """The images of each test set."""
    found = {}
    for path in test_sets(options):
        manifest = build_manifest(path, limit=options.test_images, verify=False)
        found[path.name] = records(manifest.table, str(path))
    return found


def units(options: Options) -> dict[tuple[str, int], tuple[str, int] | None]:
    """Each campaign and finish, with what it waits for, which is among them."""
    found: dict[tuple[str, int], tuple[str, int] | None] = {}
    for seed in options.seeds:
        found[START, seed] = None
        for arm in options.arms:
            if arm in FINISHES:
                found.setdefault((FINISHES[arm].campaign, seed), (START, seed))
                found[arm, seed] = (FINISHES[arm].campaign, seed)
            else:
                found[arm, seed] = (START, seed) if arm in CAMPAIGNS else None
    return found


def rows_of(options: Options) -> list[str]:
    """The rows of the arms, each once."""
    return [row for arm in options.arms for row in (FINISHES[arm].rows if arm in FINISHES else (arm,))]


def seeds_of(options: Options, row: str) -> list[int]:
    """The seeds of which a row is finished."""
    return [seed for seed in options.seeds if note_file(options, row, seed).exists()]


def note_file(options: Options, row: str, seed: int) -> Path:
    """What is noted of a row; written last."""
    return options.out / "scores" / f"{place_of(options, row, seed).name}.json"


def files_of(options: Options, row: str, name: str, seeds: Sequence[int], flips: bool = False) -> list[Path]:
    """The scores of a test set by a row, a file a seed."""
    files = [score_file(options, row, seed, name) for seed in seeds]
    return [file.with_suffix(".flips.npz") if flips else file for file in files]


def figures(options: Options, row: str, name: str, flips: bool = False) -> dict[str, dict[str, float]]:
    """Mean and range over the seeds of a row on a test set, and as a share of full masks of these seeds."""
    seeds, one = seeds_of(options, row), np.ones((1, options.test_images))

    def values(which: str, seed: int) -> Figures:
        return resampled(files_of(options, which, name, [seed], flips), one)

    each = {seed: values(row, seed) for seed in seeds}
    found = {figure: spread([float(of[figure][0]) for of in each.values()]) for figure in FIGURES}
    both = [seed for seed in seeds if seed in seeds_of(options, FULL)]
    for figure in ("max_f", "s_measure") if both else ():
        full = {seed: values(FULL, seed)[figure][0] for seed in both}
        found[f"{figure}_of_full"] = spread([float(each[seed][figure][0] / full[seed]) for seed in both])
    return found


def difference(options: Options, row: str, other: str, name: str) -> dict[str, Any]:
    """How much a row differs from another on a test set: mean over their common seeds, 95 % interval of the
    paired bootstrap over images, and each seed.
    """
    seeds = [seed for seed in seeds_of(options, row) if seed in seeds_of(options, other)]
    if not seeds:
        return {}
    times = draws(options.test_images, "finish", name)
    ours, theirs = (resampled(files_of(options, one, name, seeds), times) for one in (row, other))
    found: dict[str, Any] = {}
    for figure in FIGURES:
        by_seed = [
            float(a[figure][0] - b[figure][0])
            for a, b in (
                [resampled(files_of(options, one, name, [seed]), times[:1]) for one in (row, other)]
                for seed in seeds
            )
        ]
        found[figure] = compared(ours, theirs, figure, by_seed)
    return found


def summary(options: Options, row: str) -> dict[str, Any]:
    """All that is known of a row."""
    seeds, other = seeds_of(options, row), beside(row)
    notes = [json.loads(note_file(options, row, seed).read_text()) for seed in seeds]
    sets = [path.name for path in test_sets(options)]
    wrong = [note["wrong"] for note in notes if note.get("wrong") is not None]
    return {
        "seeds": seeds,
        "passes": notes[0]["passes"],
        "device_seconds": spread([note["device_seconds"] for note in notes]),
        "wrong": spread(wrong) if wrong else None,
        "figures": {name: figures(options, row, name) for name in sets},
        "with_flips": {name: figures(options, row, name, flips=True) for name in sets},
        "beside": other,
        "difference": {name: difference(options, row, other, name) for name in sets} if other else None,
    }


def line(row: str, found: dict[str, Any]) -> str:
    """One row, on both test sets."""
    cells = []
    for name, of in found["figures"].items():
        share = f" ({of['max_f_of_full']['mean']:.1%} of full)" if "max_f_of_full" in of else ""
        apart = (found["difference"] or {}).get(name) or {}
        mark = (
            f" {apart['max_f']['difference']:+.4f}{'!' if apart['max_f']['decided'] else ''}" if apart else ""
        )
        cells.append(f"{name} " + " ".join(f"{of[figure]['mean']:.4f}" for figure in FIGURES) + share + mark)
    return f"{row:34} {len(found['seeds'])} seeds  {'; '.join(cells)}"


def main(options: Options) -> None:
    """Run what is asked for, and print a table of the figures."""
    lay_out(options)
    head = provenance(MEASURES, kept=options.out / "provenance.json")
    if not options.figures_only:
        run_units(units(options), run_unit, options, options.processes)
    rows = {row: summary(options, row) for row in rows_of(options) if seeds_of(options, row)}
    sizes = {name: getattr(options, name) for name in SIZES}
    RESULT.write_text(json.dumps({"provenance": head, **sizes, "rows": rows}, indent=1) + "\n")
    for row, found in rows.items():
        print(line(row, found))


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
