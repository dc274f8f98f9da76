"""The charts of a sweep: a heat map over two fields, and what each further point buys in every trial."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from atal_ray.errors import counted
from atal_ray.report.figure import PALETTE, SHADES, chart, legend_below
from atal_ray.studies.sweep.plan import TOTAL, Axis, Sweep
from atal_ray.studies.sweep.result import Outcome
from atal_ray.studies.sweep.seeds import over_seeds

_COLUMNS, _MOST_NAMED = 4, 12


def heat_map(plan: Sweep, outcomes: Sequence[Outcome]) -> str:
    """The metric over the first two axes, a panel for each budget, the best over all other axes; empty where
    there are not two axes.
    """
    axes = [axis for axis in plan.axes if axis.paths != (TOTAL,)]
    if len(axes) < 2 or not any(outcome.scores for outcome in outcomes):
        return ""
    grids = {points: grid_of(plan, outcomes, axes[0], axes[1], points) for points in plan.totals}
    known = np.concatenate([grid[np.isfinite(grid)] for grid in grids.values()])
    limits = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    columns = min(len(grids), _COLUMNS)
    rows = -(-len(grids) // columns)

    def draw(figure: Figure) -> None:
        panels: Any = figure.subplots(rows, columns, squeeze=False)
        for panel, (points, grid) in zip(panels.flat, grids.items(), strict=False):
            picture = panel.imshow(grid, cmap=SHADES, vmin=limits[0], vmax=limits[1], aspect="auto")
            panel.grid(False)
            panel.set(
                title=f"{counted(points, 'point')} an image", xlabel=name_of(axes[1]), ylabel=name_of(axes[0])
            )
            panel.set_xticks(range(len(axes[1].values)), [text_of(value) for value in axes[1].values])
            panel.set_yticks(range(len(axes[0].values)), [text_of(value) for value in axes[0].values])
            for row, column in product(*map(range, grid.shape)):
                text = f"{grid[row, column]:.3f}" if np.isfinite(grid[row, column]) else "–"
                dark = np.isfinite(grid[row, column]) and grid[row, column] < sum(limits) / 2
                panel.text(column, row, text, ha="center", va="center", color="white" if dark else "black")
        for panel in panels.flat[len(grids) :]:
            panel.set_axis_off()
        bar = figure.colorbar(picture, ax=panels, label=plan.metric)
        bar.outline.set_visible(False)

    return chart(
        draw, width=min(9.6, 3.2 * columns + 0.8), height=(1.2 + 0.42 * len(axes[0].values)) * rows + 0.3
    )


def grid_of(
    plan: Sweep, outcomes: Sequence[Outcome], down: Axis, across: Axis, points: int
) -> NDArray[np.float64]:
    """The metric at a budget [values of down, values of across]; the best of the trials in a cell, NaN where
    none got so far.
    """
    best = np.fmax if plan.higher_is_better else np.fmin
    grid = np.full((len(down.values), len(across.values)), np.nan)
    for outcome in outcomes:
        at = tuple(
            axis.values.index(tuple(outcome.trial.fields[path] for path in axis.paths))
            for axis in (down, across)
        )
        grid[at] = best(grid[at], outcome.scores.get(points, np.nan))
    return grid


def budget_curve(plan: Sweep, outcomes: Sequence[Outcome]) -> str:
    """The metric over the points an image, a line for each trial; empty where no round is done."""
    drawn = [outcome for outcome in outcomes if outcome.scores]
    if not drawn:
        return ""
    shades = _shades(len(drawn))
    named = len(drawn) <= _MOST_NAMED

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for outcome, color in zip(drawn, shades, strict=False):
            line = "--" if outcome.state == "stopped" else "-"
            axes.plot(
                *zip(*sorted(outcome.scores.items()), strict=True),
                line,
                marker="o",
                color=color,
                label=outcome.trial.name,
            )
        for points in plan.totals:
            axes.axvline(points, color="#c9d0d8", linewidth=0.8, zorder=0)
        axes.set(xlabel="points an image", ylabel=f"{plan.metric}, {plan.member}, {plan.judge}")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if named:
            legend_below(figure, axes, columns=3)

    return chart(draw, height=3.4 + (0.2 * -(-len(drawn) // 3) if named else 0))


def seed_curve(plan: Sweep, outcomes: Sequence[Outcome]) -> str:
    """Mean and standard deviation of the metric over the seeds, over the points an image; empty where no seed
    was varied, or no round is done.
    """
    groups = [found for found in over_seeds(plan, outcomes) if found.scores]
    if not groups:
        return ""
    shades = _shades(len(groups))

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for found, color in zip(groups, shades, strict=False):
            points = sorted(found.scores)
            mean = np.array([found.mean(at) for at in points], np.float64)
            spread = np.array([found.spread(at) for at in points])
            axes.plot(points, mean, marker="o", color=color, label=found.name)
            axes.fill_between(points, mean - spread, mean + spread, color=color, alpha=0.18, linewidth=0)
        axes.set(xlabel="points an image", ylabel=f"{plan.metric}, {plan.member}, {plan.judge}")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if len(groups) <= _MOST_NAMED:
            legend_below(figure, axes, columns=3)

    return chart(draw, height=3.4 + (0.2 * -(-len(groups) // 3) if len(groups) <= _MOST_NAMED else 0))


def _shades(lines: int) -> Any:
    """A colour for each line."""
    return PALETTE if lines <= len(PALETTE) else matplotlib.colormaps[SHADES](np.linspace(0, 0.95, lines))


def name_of(axis: Axis) -> str:
    """The fields of an axis."""
    return " + ".join(axis.paths)


def text_of(value: tuple[Any, ...]) -> str:
    """The values of one step on an axis."""
    return " + ".join(map(str, value))
