"""Networks that are trained on the points of a unit, and its finish."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from plain_campaigns import files, plain_snapshots, toy_config

from atal_ray.campaign.campaign_folder import POINTS, CampaignFolder
from atal_ray.config import BudgetConfig, Config
from atal_ray.data.synthetic.dataset import write_dataset
from atal_ray.store.folder import Folder
from atal_ray.studies.paper.arm import CHOSEN, Arm, Source, full_masks
from atal_ray.studies.paper.given import given_jobs, run_given
from atal_ray.studies.paper.reading import Reading
from atal_ray.studies.paper.study import notices_of
from atal_ray.studies.paper.units import UNITS, jobs_of, units_of
from atal_ray.studies.sweep.plan import Sweep
from atal_ray.studies.sweep.sweep import LOGS
from atal_ray.studies.sweep.trial_jobs import run_jobs


@dataclass(frozen=True)
class Done:
    """A campaign of three rounds, of whose first two an arm is given the points, and its finish."""

    root: Folder
    base: Config
    reading: Reading


def arms_of(base: Config) -> list[Arm]:
    shorter = replace(base, budget=replace(base.budget, total=4))
    longer = replace(base, train=replace(base.train, epochs=2 * base.train.epochs))
    given = replace(longer, data=replace(base.data, points=CHOSEN))
    return [
        Arm("longest", base, (2, 4, 6)),
        Arm("full", full_masks(base)),
        Arm("given", given, (4,), Source(shorter)),
        Arm("finished", full_masks(base), (4,), Source(shorter, finished=True)),
    ]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("given")
    write_dataset(folder / "train", count=4, size=(40, 64))
    write_dataset(folder / "test", count=4, size=(40, 64), seed=1)
    budget = BudgetConfig(start=2, per_round=2, total=6)
    base = toy_config(folder / "train", (folder / "test",), budget=budget)
    base = replace(base, resources=replace(base.resources, backend="inline"))
    root, arms = Folder(str(folder / "studies")), arms_of(base)
    units, ways = units_of(arms, range(1)), Sweep(campaign=base)
    jobs = given_jobs(root, units)
    assert {job.name for job in jobs} == {name for name in units if name.startswith(("given", "finished"))}
    with plain_snapshots():
        assert not run_given(root, jobs, ways)
        assert not any(job.is_ready or job.is_finished for job in jobs), "they wait for the campaign"
        assert not run_jobs(jobs_of(root, units).trials, ways, root / LOGS, 1, "campaigns")
        assert not run_given(root, jobs, ways)
        assert all(job.is_finished for job in jobs)
    return Done(root, base, Reading(root, arms, (0,), ["test"]))


def unit(done: Done, kind: str) -> CampaignFolder:
    (name,) = (name for name in (done.root / UNITS).names() if name.startswith(kind))
    return CampaignFolder(done.root / UNITS / name)


def test_an_arm_is_given_the_points_of_the_rounds_that_count(done: Done) -> None:
    chosen = unit(done, "atal")
    given = unit(done, "given").round(0).read_table(POINTS)
    wanted = chosen.points(1)
    columns = ["image_id", "x", "y", "label"]
    order = [(name, "ascending") for name in columns]
    assert given.select(columns).sort_by(order).equals(wanted.select(columns).sort_by(order))
    assert len(chosen.points(2)) > len(wanted) == 4 * 4


def test_a_finish_is_of_these_rounds_and_keeps_the_scores_of_images(done: Done) -> None:
    final = unit(done, "finished").root
    assert final.count_rows("points.parquet") == 4 * 4
    assert final.read_json("metrics.json")["clicks"] == 4
    ids, scores = done.reading.scores(done.reading.arm("finished"), "test", 0)
    assert len(ids) == 4
    assert scores["precision"].shape == (4, 256)
    network = final.read_json("metrics.json")["network"]["test"]
    assert scores["mae"].mean() == pytest.approx(network["mae"], abs=1e-6)


def test_a_row_says_clicks_labels_and_the_cost_of_the_campaign_too(done: Done) -> None:
    rows = {arm.name: done.reading.row(arm) for arm in done.reading.arms}
    epochs = done.base.train.epochs
    assert {name: row["clicks"] for name, row in rows.items()} == {
        "longest": 6, "full": None, "given": 4, "finished": 4,
    }  # fmt: skip
    assert rows["given"]["labels"] == "given points"
    assert rows["finished"]["labels"] == "finished masks"
    passes = {name: row["cost"]["training_passes"] / 4 for name, row in rows.items()}
    assert passes == {
        "longest": 3 * epochs, "full": epochs, "given": 3 * epochs, "finished": 3 * epochs,
    }  # fmt: skip


def test_the_looks_of_the_teacher_are_a_cost_of_the_finish(done: Done) -> None:
    rows = {arm.name: done.reading.row(arm) for arm in done.reading.arms}
    own = rows["finished"]["cost"]["query_passes"] - rows["given"]["cost"]["query_passes"]
    assert own == 4 * done.base.train.cycles * 2, "each image by each snapshot, mirrored too"


def test_all_metrics_of_a_finish_and_a_campaign_are_read(done: Done) -> None:
    for name in ("longest", "finished"):
        found = done.reading.metrics(done.reading.arm(name), "test", [0])
        figures = done.reading.figures(done.reading.arm(name), "test")
        assert found.max_f == pytest.approx(figures["max_f"][0], abs=1e-5)


def test_nothing_is_trained_again(done: Done) -> None:
    root = Path(done.root.uri)
    before = files(root)
    with plain_snapshots():
        jobs = given_jobs(done.root, units_of(done.reading.arms, range(1)))
        assert not run_given(done.root, jobs, Sweep(campaign=done.base))
    assert files(root) == before


def test_a_key_is_of_the_points_too(done: Done) -> None:
    arms = arms_of(done.base)
    other = replace(arms[2], source=Source(replace(done.base, budget=replace(done.base.budget, total=6))))
    names = [set(units_of([arm], range(1))) for arm in (arms[2], other)]
    assert len(names[0] & names[1]) == 1, "the campaign that chooses"
    assert len(names[0] | names[1]) == 3


def test_a_test_set_that_is_added_is_judged_without_another_training(done: Done, tmp_path: Path) -> None:
    write_dataset(tmp_path / "second", count=3, size=(40, 64), seed=2)
    root = Folder(str(tmp_path / "studies"))
    shutil.copytree(done.root.uri, root.uri)
    tests = (*done.base.data.tests, str(tmp_path / "second"))
    base = replace(done.base, data=replace(done.base.data, tests=tests))
    arms = arms_of(base)
    units = units_of(arms, range(1))
    assert units.keys() == units_of(done.reading.arms, range(1)).keys()
    reading = Reading(root, arms, (0,), ["second", "test"])
    assert not any(Reading(root, arms, (0,), reading.sets).done(arm) for arm in arms)
    ways = Sweep(campaign=base)
    before = {name: data for name, data in files(Path(root.uri)).items() if name.endswith(".pt")}
    with plain_snapshots():
        assert not run_jobs(jobs_of(root, units).trials, ways, root / LOGS, 1, "campaigns")
        assert not run_given(root, given_jobs(root, units), ways)
    assert all(reading.done(arm) for arm in arms)
    assert {name: data for name, data in files(Path(root.uri)).items() if name.endswith(".pt")} == before
    for test_set, images in (("second", 3), ("test", 4)):
        assert reading.metrics(arms[3], test_set, [0]).images == images
        ids, scores = reading.scores(arms[3], test_set, 0)
        assert len(ids) == images
        assert scores["mae"].mean() == pytest.approx(reading.metrics(arms[3], test_set, [0]).mae, abs=1e-6)


def test_what_diverged_or_waits_is_told(done: Done) -> None:
    units = units_of(done.reading.arms, range(1))
    elsewhere = Folder(f"{done.root.uri}-elsewhere")
    jobs = given_jobs(elsewhere, units)
    jobs[0].note_divergence("round 0: not finite")
    told = notices_of(jobs, {"atal-1": "no disk"})
    assert told[0] == "atal-1 failed: no disk"
    assert told[1] == f"{jobs[0].name} diverged: round 0: not finite"
    assert told[2].startswith(f"{jobs[1].name} waits for the points of atal-")
