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
from atal_ray.studies.sweep.sweep_charts import budget_curve, grid_of, heat_map
from atal_ray.studies.sweep.sweep_page import table_of, write_sweep_report

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
    assert [cell.text for cell in rows[1]] == ["3", "1", "1", "0.5120", "–", "not finished"]
    assert [[cell.best for cell in row] for row in rows] == [[False] * 6] * 7 + [
        [False] * 3 + [True, True, False]
    ]


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
