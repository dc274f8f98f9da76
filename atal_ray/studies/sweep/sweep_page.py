"""The report of a sweep: one HTML page, the same as JSON, and the best configuration as YAML."""

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from statistics import fmean
from typing import Any
from urllib.parse import quote

from atal_ray.config import config_file
from atal_ray.errors import counted
from atal_ray.report.page import REPORT, template
from atal_ray.report.tables import NOTHING, Cell, Table
from atal_ray.store.folder import Folder
from atal_ray.studies.sweep.plan import TOTAL, Sweep
from atal_ray.studies.sweep.result import Best, Outcome, Work, find_best
from atal_ray.studies.sweep.seeds import over_seeds
from atal_ray.studies.sweep.sweep_charts import budget_curve, heat_map, seed_curve

TRIALS = "trials"
"""Folder of the campaigns."""
PAGE, NUMBERS, BEST = "sweep.html", "sweep.json", "best.yaml"
STATES = {
    "finished": "finished",
    "stopped": "stopped as poor",
    "diverged": "diverged",
    "failed": "failed",
    "open": "not finished",
}


def write_sweep_report(root: Folder, plan: Sweep, outcomes: Sequence[Outcome], work: Work) -> None:
    """Write sweep.json, best.yaml (where any budget is reached) and, last, sweep.html."""
    best = find_best(plan, outcomes)
    root.write_json(NUMBERS, to_json(plan, outcomes, work, best))
    if best is not None:
        root.write_bytes(BEST, config_file.to_yaml(best.config).encode())
    html = template("sweep.html.j2").render(
        name=root.name,
        facts={"Folder": root.uri, **facts(plan, outcomes, work, best)},
        table=table_of(plan, outcomes),
        seeds=seeds_table(plan, outcomes),
        seed_curve=seed_curve(plan, outcomes),
        heat_map=heat_map(plan, outcomes),
        budget_curve=budget_curve(plan, outcomes),
        failures=[(outcome.trial.name, outcome.reason) for outcome in outcomes if outcome.reason],
        best=config_file.to_yaml(best.config) if best else "",
        plan=config_file.to_yaml(plan),
    )
    root.write_bytes(PAGE, html.encode())


def to_json(plan: Sweep, outcomes: Sequence[Outcome], work: Work, best: Best | None) -> dict[str, Any]:
    """Everything that the page shows, and the main metrics of every round."""
    return {
        "written": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "versions": {package: version(package) for package in ("atal-ray", "torch", "ray")},
        "over": list(plan.over),
        "judged_by": {"metric": plan.metric, "member": plan.member, "test_set": plan.judge},
        "budgets": plan.totals,
        "work": vars(work),
        "best": best and {"trial": best.trial.name, "points": best.points, "score": best.score},
        "trials": [
            {
                "name": outcome.trial.name,
                "fields": dict(outcome.trial.fields),
                "state": outcome.state,
                "reason": outcome.reason,
                "metrics": {str(points): found for points, found in outcome.metrics.items()},
            }
            for outcome in outcomes
        ],
    }


def facts(plan: Sweep, outcomes: Sequence[Outcome], work: Work, best: Best | None) -> dict[str, str]:
    """Name and value of each key fact."""
    states = [outcome.state for outcome in outcomes]
    counts = ", ".join(f"{states.count(state)} {words}" for state, words in STATES.items() if state in states)
    member = plan.member if plan.member == "ensemble" else "last snapshot"
    saved = (
        f", {work.passes / work.separate_passes:.0%} of separate campaigns" if work.separate_passes else ""
    )
    return {
        "Trials": f"{len(outcomes)}: {counts}",
        "Judged by": f"{plan.metric} of the {member} on {plan.judge}",
        "Best": f"{best.score:.4f}: {best.trial.name}, {counted(best.points, 'point')} an image"
        if best
        else NOTHING,
        "Trained": f"{counted(work.rounds, 'round')}, {work.passes:,} image passes{saved}",
        "Written": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "Versions": ", ".join(f"{package} {version(package)}" for package in ("atal-ray", "torch", "ray")),
    }


def table_of(plan: Sweep, outcomes: Sequence[Outcome]) -> Table:
    """A row a trial: its name, which leads to its report, its fields, the metric at every budget with the
    best of each marked, and its state.
    """
    paths = [path for axis in plan.axes for path in axis.paths if path != TOTAL]
    pick = max if plan.higher_is_better else min
    best = {
        points: pick((o.scores[points] for o in outcomes if points in o.scores), default=None)
        for points in plan.totals
    }

    def row(outcome: Outcome) -> tuple[Cell, ...]:
        page = f"{TRIALS}/{quote(outcome.trial.name)}/{REPORT}" if outcome.state == "finished" else ""
        fields = [
            Cell(outcome.trial.name, href=page),
            *(Cell(str(outcome.trial.fields[path])) for path in paths),
        ]
        scores = [
            Cell(f"{outcome.scores[points]:.4f}", outcome.scores[points] == best[points])
            if points in outcome.scores
            else Cell(NOTHING)
            for points in plan.totals
        ]
        return (*fields, *scores, Cell(STATES[outcome.state]))

    headings = ("trial", *paths, *(counted(points, "point") for points in plan.totals), "state")
    return Table("", (), headings, tuple(row(outcome) for outcome in outcomes))


def seeds_table(plan: Sweep, outcomes: Sequence[Outcome]) -> Table | None:
    """Mean and sample standard deviation of the metric over the seeds, a row for each combination of the
    other fields; None where no seed was varied.
    """
    groups = over_seeds(plan, outcomes)
    if not groups:
        return None
    pick = max if plan.higher_is_better else min
    best = {
        points: pick(
            (fmean(found.scores[points]) for found in groups if points in found.scores), default=None
        )
        for points in plan.totals
    }
    rows = [
        (
            Cell(found.name),
            *(Cell(found.text(points), found.mean(points) == best[points]) for points in plan.totals),
        )
        for found in groups
    ]
    headings = ("of equal fields", *(counted(points, "point") for points in plan.totals))
    return Table("", (), headings, tuple(rows))
