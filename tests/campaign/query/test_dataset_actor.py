"""One budget for all images: what the actor asks for, on a real campaign."""

import collections
import dataclasses
import shutil
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from campaigns import assert_finished, on_ray, open_campaign, torn
from cover_parts import cover_files

from atal_ray.acquisition.cover import device_kcenter
from atal_ray.acquisition.cover.device_kcenter import cover_kcenter_on_device
from atal_ray.acquisition.dataset_budget.similarity import LabelledFeatures
from atal_ray.campaign import snapshot_actor
from atal_ray.campaign.campaign_folder import QUERIES
from atal_ray.campaign.query import dataset_actor as rds_actor
from atal_ray.campaign.query.ask import query
from atal_ray.campaign.query.budget_steps import MEMBERS, PLAN, SUMS, BudgetSteps
from atal_ray.campaign.query.dataset_actor import VECTOR, check_index, memory_needed
from atal_ray.campaign.run import run_campaign
from atal_ray.config import Config, QueryConfig, ResourceConfig
from atal_ray.errors import CampaignError, ConfigError
from atal_ray.labels.points import QUERY_SCHEMA
from atal_ray.report.gallery_file import GALLERY
from atal_ray.runtime.throughput import THROUGHPUT
from atal_ray.store.folder import Folder


def by_need(config, **changes):
    changed = dataclasses.replace(config.query, scope="dataset", **{"floor": 1, "ceiling": 4, **changes})
    return dataclasses.replace(config, query=changed)


def ask(finished, tmp_path, **changes):
    config, folder = finished
    campaign, out = open_campaign(folder), open_campaign(tmp_path).root
    query(campaign, by_need(config, **changes), 0, out)
    return out.read_table(QUERIES), out


def test_budget_is_met_within_floor_and_ceiling(finished, tmp_path):
    asked, out = ask(finished, tmp_path)
    assert asked.schema.equals(QUERY_SCHEMA)
    assert asked.num_rows == 2 * 7
    counts = collections.Counter(asked["image_id"].to_pylist())
    assert len(counts) == 7
    assert set(counts.values()) <= {1, 2, 3, 4}
    assert len(set(counts.values())) > 1, "need differs between these images"
    ids = asked["image_id"].to_pylist()
    assert ids == sorted(ids)
    assert asked["order"].to_pylist() == [order for image in sorted(counts) for order in range(counts[image])]
    assert out.names() == [GALLERY, QUERIES, THROUGHPUT]


def test_floor_and_ceiling_of_k_ask_what_each_image_alone_would(finished, tmp_path):
    _, folder = finished
    asked, _ = ask(finished, tmp_path, floor=2, ceiling=2)
    assert asked.equals(open_campaign(folder).round(0).read_table(QUERIES))


@pytest.mark.parametrize("changes", [{"cover": "maxsum"}, {"cover_space": "both", "floor": 0}])
def test_every_option_meets_the_budget(finished, tmp_path, changes):
    asked, _ = ask(finished, tmp_path, **changes)
    assert asked.num_rows == 14


def test_points_do_not_depend_on_what_searches(finished, tmp_path):
    config, folder = finished
    expected, _ = ask(finished, tmp_path / "faiss", similarity="nearest")
    numpy = dataclasses.replace(config, resources=dataclasses.replace(config.resources, index="numpy"))
    assert ask((numpy, folder), tmp_path / "numpy", similarity="nearest")[0].equals(expected)


def test_points_do_not_depend_on_where_the_cover_runs(finished, tmp_path, monkeypatch):
    """A GPU is pretended."""
    expected, _ = ask(finished, tmp_path / "cpu")
    there = []

    def on_cpu(positions, m, on_progress):
        there.append(m)
        return cover_kcenter_on_device(positions, m, device="cpu", on_progress=on_progress)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(device_kcenter, "fits_on_gpu", lambda *_: True)
    monkeypatch.setattr(device_kcenter, "cover_kcenter_on_device", on_cpu)
    monkeypatch.setattr(snapshot_actor, "choose_device", lambda _: torch.device("cpu"))
    config, folder = finished
    without = dataclasses.replace(config, resources=dataclasses.replace(config.resources, gpus="none"))
    assert ask((without, folder), tmp_path / "none")[0].equals(expected)
    assert not there
    allowed = dataclasses.replace(config, resources=dataclasses.replace(config.resources, gpus="auto"))
    assert ask((allowed, folder), tmp_path / "gpu")[0].equals(expected)
    assert len(there) == 1


@pytest.mark.parametrize("fits", [True, False])
def test_where_a_gpu_has_no_room_the_cpu_covers_and_says_so(tmp_path, monkeypatch, caplog, fits):
    names = [[f"{shard}-{image}" for image in range(4) for _ in range(20)] for shard in range(2)]

    def asked(folder, *, gpu):
        files = cover_files(tmp_path / folder, names)
        config = Config(query=QueryConfig(scope="dataset", floor=0, ceiling=20))
        BudgetSteps(config, 0, files, 8, 1, gpu=gpu).all_steps()
        return [files.parts.read_table(f"{shard:06d}.picks.parquet").to_pylist() for shard in range(2)]

    def full(*_, **__):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(device_kcenter, "fits_on_gpu", lambda *_: fits)
    monkeypatch.setattr(device_kcenter, "cover_kcenter_on_device", full)
    assert asked("gpu", gpu=True) == asked("cpu", gpu=False)
    (record,) = caplog.records
    why = "OutOfMemoryError" if fits else "it has no room"
    assert why in record.getMessage()
    assert "the CPU does" in record.getMessage()


@pytest.mark.parametrize(("cpus", "gpu_machines", "wanted"), [(2, 1, 1), (20, 1, 0), (20, 5, 1), (20, 0, 0)])
def test_gpus_cover_unless_far_more_machines_have_none(monkeypatch, cpus, gpu_machines, wanted):
    """Twenty parts, an actor a machine."""
    made, called = [{"CPU": 1, "memory": 100}] * cpus, []
    gpus = [{"CPU": 1, "memory": 100, "GPU": 1}] * gpu_machines
    monkeypatch.setattr(rds_actor, "machines_with", lambda _, gpu=0: gpus if gpu else [*made, *gpus])
    monkeypatch.setattr(rds_actor, "call_on_actors", lambda *of, place, **_: called.append(place) or [])
    config = Config(
        query=QueryConfig(scope="dataset"), resources=ResourceConfig(query_actors=20, gpus="auto")
    )
    spending = rds_actor.Spending(config, "RDS")
    spending.run(lambda threads, gpu: [lambda: None] * 20, 100, gpu=True)
    assert [place.gpus for place in called] == [wanted]


def test_parts_that_are_done_are_not_done_again(finished, tmp_path, monkeypatch):
    config, folder = finished
    out, done = open_campaign(tmp_path).root, []

    def fail(self, number, on_progress=None):
        if number == 2:
            raise CampaignError("the disk is full")
        done.append(number)
        cover(self, number)

    cover = BudgetSteps.cover
    monkeypatch.setattr(BudgetSteps, "cover", fail)
    with pytest.raises(CampaignError, match="the disk is full"):
        query(open_campaign(folder), by_need(config, cover_images=2), 0, out)
    assert done == [0, 1]
    monkeypatch.setattr(
        BudgetSteps, "_choose", lambda self, positions, m, _: done.append(m) or np.arange(m, dtype=np.int64)
    )
    monkeypatch.setattr(BudgetSteps, "cover", cover)
    query(open_campaign(folder), by_need(config, cover_images=2), 0, out)
    assert len(done) == 4  # and only the other two parts


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"cover_images": 2}, {"cover_images": 3, "similarity": "nearest"}])
def test_points_do_not_depend_on_the_number_of_actors(ray_local, finished, tmp_path, changes):
    config, folder = finished
    expected, _ = ask(finished, tmp_path / "inline", **changes)
    assert ask((on_ray(config, query_actors=2), folder), tmp_path / "two", **changes)[0].equals(expected)


def test_faiss_is_missed_before_anything_is_scored(finished, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    for changes in ({"similarity": "nearest"}, {"cover": "maxsum"}):
        with pytest.raises(ConfigError, match=r"set resources\.index to numpy"):
            ask(finished, tmp_path, **changes)
    assert open_campaign(tmp_path).root.names() == []
    check_index(by_need(finished[0]))  # the default asks faiss for nothing


def test_a_restart_at_any_point_asks_the_same(finished, tmp_path, monkeypatch):
    """Killed among the shards, among the parts, and among the picks."""
    config, folder = finished
    campaign, out = open_campaign(folder), open_campaign(tmp_path / "kept").root
    parts, in_parts = out / f"{QUERIES}.parts", by_need(config, cover_images=2)
    with monkeypatch.context() as patch:
        patch.setattr(Folder, "delete", lambda _: None)  # the parts stay
        query(campaign, in_parts, 0, out)
    expected, kept = out.read_table(QUERIES), parts.names()
    steps = ["covers", PLAN, f".{SUMS}", f".{MEMBERS}", "picks"]
    for done in range(len(steps)):
        again = open_campaign(tmp_path / f"lost-{done}").root
        shutil.copytree(parts.uri, f"{again.uri}/{QUERIES}.parts")
        of_step = [name for name in kept if steps[done] in name]
        later = [name for name in kept if any(step in name for step in steps[done + 1 :])]
        for name in (*of_step[::2], *later):
            (Path(again.uri) / f"{QUERIES}.parts" / name).unlink()
        query(campaign, in_parts, 0, again)
        assert again.read_table(QUERIES).equals(expected)
        assert f"{QUERIES}.parts" not in again.names()


def test_memory_that_no_machine_has_is_said_before_it_is_taken(finished, tmp_path, monkeypatch):
    monkeypatch.setattr(rds_actor, "memory_needed", lambda *_: 2**50)
    with pytest.raises(
        CampaignError,
        match=r"takes 1048576\.0 GiB in one process, and the largest machine gives Ray [\d.]+: start Ray",
    ):
        ask(finished, tmp_path)


def test_nothing_readable_is_no_point_and_an_error_for_each_image(finished, tmp_path):
    config, folder = finished
    out, images = open_campaign(tmp_path).root, folder.parent / "train" / "images"
    moved = images.rename(tmp_path / "moved")
    try:
        query(open_campaign(folder), by_need(config), 0, out)
    finally:
        moved.rename(images)
    assert out.count_rows(QUERIES) == 0
    errors = out.read_table("errors.parquet")["image_id"].to_pylist()
    assert len(errors) == 8
    assert errors[-1] == "(all)"


def test_what_the_ceiling_forbids_is_an_error_row(finished, tmp_path):
    config, folder = finished
    out = open_campaign(tmp_path).root
    with torn(folder) as image:
        query(open_campaign(folder), by_need(config, ceiling=2), 0, out)
    unread, short = out.read_table("errors.parquet").to_pylist()
    assert unread["image_id"] == image.stem
    assert "only 12 of 14 points asked" in short["reason"]
    assert out.count_rows(QUERIES) == 12


def test_points_of_an_unreadable_image_go_to_the_others(finished, tmp_path):
    config, folder = finished
    out = open_campaign(tmp_path).root
    with torn(folder) as image:
        query(open_campaign(folder), by_need(config), 0, out)
    assert out.count_rows(QUERIES) == 14
    assert image.stem not in out.read_table(QUERIES)["image_id"].to_pylist()


def test_covering_in_parts_meets_the_budget_and_changes_the_points(finished, tmp_path):
    whole, _ = ask(finished, tmp_path / "whole")
    parts, _ = ask(finished, tmp_path / "parts", cover_images=2)
    assert parts.num_rows == whole.num_rows == 14
    assert not parts.equals(whole)
    again, _ = ask(finished, tmp_path / "again", cover_images=7)
    assert again.equals(whole)


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"similarity": "nearest"},
        {"cover": "maxsum", "shortlist_percent": 100.0},
        {"cover_images": 2},
    ],
)
def test_the_memory_that_is_asked_for_is_enough(tmp_path, changes):
    files = cover_files(
        tmp_path,
        [[f"{shard:02d}-{image:02d}" for image in range(20) for _ in range(100)] for shard in range(12)],
    )
    config = Config(query=QueryConfig(scope="dataset", ceiling=10, **changes))
    needed = memory_needed(files, config, 240)
    tracemalloc.start()
    BudgetSteps(config, 0, files, 4 * 240, 1, gpu=False).all_steps()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < needed < 4 * peak
    assert sum(files.parts.count_rows(f"{shard:06d}.picks.parquet") for shard in range(12)) == 4 * 240


def test_candidates_of_equal_score_are_ordered_anew_in_each_round(tmp_path):
    names = [[f"{shard}-{image}" for image in range(4) for _ in range(20)] for shard in range(2)]

    def asked(number, folder):
        files = cover_files(tmp_path / folder, names, score=0.5)
        config = Config(query=QueryConfig(scope="dataset", floor=0, ceiling=20))
        BudgetSteps(config, number, files, 8, 1, gpu=False).all_steps()
        return [files.parts.read_table(f"{shard:06d}.picks.parquet").to_pylist() for shard in range(2)]

    assert asked(0, "first") == asked(0, "again")
    assert asked(0, "once") != asked(1, "later")


def test_the_labelled_points_that_are_searched_take_no_more_than_is_asked_for(tmp_path):
    channels = 64
    points = np.random.default_rng(0).standard_normal((40_000, channels), np.float32)
    tracemalloc.start()
    labelled = LabelledFeatures("nearest", "numpy")
    for first in range(0, len(points), 1000):
        labelled.add(points[first : first + 1000].copy())
    labelled.similarity(points[:1])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < VECTOR * channels * len(points)


def test_campaign_with_one_budget_runs_to_its_end(finished, tmp_path):
    config, folder = finished
    changed = dataclasses.replace(
        by_need(config), data=dataclasses.replace(config.data, train=str(folder.parent / "train"))
    )
    campaign = run_campaign(changed, tmp_path / "run")
    assert_finished(campaign, 2)
    assert campaign.points(1).num_rows == 4 * 7
    assert "images over the points that each has" in campaign.root.read_bytes("report.html").decode()
