"""The heat map holds each trial in its cell; the page shows what the trials came to."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from campaigns import tiny_config

from atal_ray.errors import ConfigError
from atal_ray.store.folder import Folder
from atal_ray.studies.sweep.plan import Sweep
from atal_ray.studies.sweep.result import Outcome, count_work, find_best
from atal_ray.studies.sweep.seeds import over_seeds
from atal_ray.studies.sweep.sweep_charts import budget_curve, grid_of, heat_map, seed_curve
from atal_ray.studies.sweep.sweep_page import seeds_table, table_of, write_sweep_report

PLAN = Sweep(
    over=("query.top-percent=3,10", "train.cycles=1,2", "seed=0,1", "budget.total=2,6"),
    campaign=tiny_config(Path("/data/train"), (Path("/data/test"),)),
)


@pytest.fixture
def outcomes() -> list[Outcome]:
    """Eight trials; the first has no round yet, the second only one; each shares its first round."""
    made = []
    for place, trial in enumerate(PLAN.trials()):
        points = [(), (2,), (2, 4, 6)][min(place, 2)]
        scores = {count: 0.5 + 0.01 * place + 0.001 * count for count in points}
        state: Any = "open" if place < 2 else "finished"
        made.append(Outcome(trial, state, scores, {count: {} for count in points}, images=7, shared_rounds=1))
    return made


def test_a_cell_holds_the_best_of_its_trials(outcomes):
    down, across = PLAN.axes[:2]
    np.testing.assert_allclose(grid_of(PLAN, outcomes, down, across, 2), [[0.512, 0.532], [0.552, 0.572]])
    np.testing.assert_allclose(grid_of(PLAN, outcomes, down, across, 6), [[math.nan, 0.536], [0.556, 0.576]])
    smallest = dataclasses.replace(PLAN, metric="mae")
    np.testing.assert_allclose(
        grid_of(smallest, outcomes, down, across, 6), [[math.nan, 0.526], [0.546, 0.566]]
    )


def test_charts_are_empty_where_nothing_can_be_drawn(outcomes):
    assert heat_map(PLAN, outcomes).startswith("data:image/svg+xml")
    assert budget_curve(PLAN, outcomes).startswith("data:image/svg+xml")
    assert heat_map(PLAN, outcomes[:1]) == budget_curve(PLAN, outcomes[:1]) == ""
    assert heat_map(dataclasses.replace(PLAN, over=("seed=0,1", "budget.total=2,6")), outcomes) == ""


def test_best_of_a_column_is_marked(outcomes):
    rows = table_of(PLAN, outcomes).rows
    name = "top_percent-3_cycles-1_seed-1"
    assert [cell.text for cell in rows[1]] == [name, "3", "1", "1", "0.5120", "–", "not finished"]
    assert [[cell.best for cell in row] for row in rows] == [[False] * 7] * 7 + [
        [False] * 4 + [True, True, False]
    ]


def test_the_name_of_a_finished_trial_leads_to_its_report(outcomes):
    links = [row[0].href for row in table_of(PLAN, outcomes).rows]
    assert links[:2] == ["", ""]
    assert links[2:] == [f"trials/{outcome.trial.name}/report.html" for outcome in outcomes[2:]]


def test_mean_and_spread_are_over_the_seeds_of_equal_fields(outcomes):
    groups = over_seeds(PLAN, outcomes)
    assert [found.name for found in groups] == [
        f"top_percent {k}, cycles {cycles}" for k in (3, 10) for cycles in (1, 2)
    ]
    last = groups[3]
    scores = [outcome.scores[6] for outcome in outcomes[6:]]
    assert last.mean(6) == pytest.approx(np.mean(scores))
    assert last.spread(6) == pytest.approx(np.std(scores, ddof=1))
    assert last.text(6) == "0.5710 ± 0.0071 (2)"
    assert groups[0].text(2) == "0.5120 ± 0.0000 (1)"
    assert groups[0].text(6) == "–"


def test_the_page_shows_the_seeds_where_they_were_varied(outcomes, tmp_path):
    table = seeds_table(PLAN, outcomes)
    assert [[cell.best for cell in row] for row in table.rows] == [[False] * 3] * 3 + [[False, True, True]]
    assert seed_curve(PLAN, outcomes).startswith("data:image/svg+xml")
    write_sweep_report(Folder(str(tmp_path)), PLAN, outcomes, count_work(PLAN, outcomes, []))
    page = (tmp_path / "sweep.html").read_text()
    assert "Over the seeds" in page
    assert f"Sweep report: {tmp_path.name}" in page
    assert '<a href="trials/top_percent-10_cycles-2_seed-1/report.html">' in page
    one_seed = dataclasses.replace(PLAN, over=PLAN.over[:2])
    assert over_seeds(one_seed, outcomes) == []
    assert (seeds_table(one_seed, outcomes), seed_curve(one_seed, outcomes)) == (None, "")


def test_the_cheaper_of_two_equal_ones_is_best(outcomes):
    best = find_best(PLAN, outcomes)
    assert (best.trial.name, best.points, best.config.budget.total) == (
        "top_percent-10_cycles-2_seed-1",
        6,
        6,
    )
    flat = [dataclasses.replace(outcome, scores={2: 0.5, 6: 0.5}) for outcome in outcomes]
    assert (find_best(PLAN, flat).trial.name, find_best(PLAN, flat).points) == (outcomes[0].trial.name, 2)
    assert find_best(dataclasses.replace(PLAN, metric="mae"), outcomes).score == outcomes[1].scores[2]
    assert find_best(PLAN, outcomes[:1]) is None


def test_work_counts_what_was_trained_and_what_would_have_been(outcomes):
    shared = [Outcome(outcome.trial, "finished", {2: 0.5}, {}, images=7) for outcome in outcomes[:4]]
    work = count_work(PLAN, outcomes, shared)
    assert work.rounds == 4 + 6 * 2
    assert work.separate_rounds == 1 + 6 * (1 + 3)
    assert work.passes == work.rounds * 7 * 2


def test_page_names_failures_and_escapes_them(outcomes, tmp_path):
    failed = dataclasses.replace(outcomes[0], state="failed", reason="<b>no disk</b>")
    write_sweep_report(Folder(str(tmp_path)), PLAN, [failed, *outcomes[1:]], count_work(PLAN, outcomes, []))
    page = (tmp_path / "sweep.html").read_text()
    assert "&lt;b&gt;no disk" in page
    assert "8: 6 finished, 1 failed, 1 not finished" in page
    assert "heat-map" in page
    write_sweep_report(Folder(str(tmp_path / "new")), PLAN, outcomes[:1], count_work(PLAN, outcomes[:1], []))
    assert not (tmp_path / "new/best.yaml").exists()
    with pytest.raises(ConfigError, match="test-set"):
        write_sweep_report(
            Folder(str(tmp_path)),
            dataclasses.replace(PLAN, test_set="x"),
            outcomes,
            count_work(PLAN, outcomes, []),
        )
