"""The charts of the report: metrics over clicks, precision and recall, training, and where points lie."""

from collections.abc import Sequence
from itertools import cycle
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from atal_ray.campaign.campaign_folder import MEMBERS
from atal_ray.config import TrainConfig
from atal_ray.report.compared import Compared
from atal_ray.report.figure import PALETTE, SHADES, chart, legend_below, visible
from atal_ray.report.numbers import Numbers, Round
from atal_ray.report.point_counts import density
from atal_ray.report.tables import MEASURES, Measure
from atal_ray.training.schedule import batches_per_epoch, learning_rate, snapshot_epochs

_STROKES: dict[str, Any] = {
    "ensemble": {"linestyle": "-"},
    "last": {"linestyle": "--", "markerfacecolor": "white"},
}
_OTHER_STROKES: tuple[dict[str, Any], ...] = (
    {"linestyle": ":", "marker": "s"},
    {"linestyle": "-.", "marker": "^"},
    {"linestyle": (0, (5, 1, 1, 1, 1, 1)), "marker": "D"},
)
_MOST_TICKS = 10
_MOST_RATES = 2000  # iterations whose learning rate is drawn
_LEGEND_COLUMNS = 5


def metric_curves(numbers: Numbers, compared: Sequence[Compared] = ()) -> str:
    """Every measure on every test set over the points an image, and the ensembles of other campaigns."""
    clicks = [numbers.clicks(found.number) for found in numbers.rounds]
    rows = -(-len(numbers.test_sets) // _LEGEND_COLUMNS)  # of test sets in the legend
    lines = len(MEMBERS) + len(compared)

    def draw(figure: Figure) -> None:
        panels: Any = figure.subplots(1, len(MEASURES))
        for axes, measure in zip(panels, MEASURES, strict=True):
            for index, name in enumerate(numbers.test_sets):
                for member in MEMBERS:
                    values = [measure.of(found.metrics[name][member]) for found in numbers.rounds]
                    label = visible(f"{name}, {member}")
                    axes.plot(
                        clicks,
                        values,
                        marker="o",
                        color=PALETTE[index % len(PALETTE)],
                        label=label,
                        **_STROKES[member],
                    )
                for style, other in zip(cycle(_OTHER_STROKES), compared, strict=False):
                    _draw_other(axes, measure, name, other, PALETTE[index % len(PALETTE)], style)
            better = "higher" if measure.higher_is_better else "lower"
            axes.set(title=f"{measure.name} ({better} is better)", xlabel="points an image")
            ticks = clicks[:: -(-len(clicks) // _MOST_TICKS)]
            axes.set_xticks(ticks, [f"{tick:.3g}" for tick in ticks])
        legend_below(figure, panels[0], columns=-(-len(numbers.test_sets) // rows))

    return chart(draw, height=2.8 + 0.2 * lines * rows)


def _draw_other(
    axes: Axes, measure: Measure, test_set: str, other: Compared, color: str, style: dict[str, Any]
) -> None:
    """The ensemble of another campaign: over its points, or at one height where it saw full masks."""
    found = [found for found in other.numbers.rounds if test_set in found.metrics]
    if not found:
        return
    values = [measure.of(one.metrics[test_set]["ensemble"]) for one in found]
    label = visible(f"{test_set}, {other.label}")
    if other.is_dense:
        axes.axhline(values[-1], color=color, label=label, linewidth=1.2, linestyle=style["linestyle"])
    else:
        clicks = [other.numbers.clicks(one.number) for one in found]
        axes.plot(clicks, values, color=color, label=label, alpha=0.75, **style)


def cost_curves(numbers: Numbers, compared: Sequence[Compared] = ()) -> str:
    """The ensemble's maxF on every test set over the seconds that devices were held, and that of others."""
    maxf = MEASURES[0]

    def draw(figure: Figure) -> None:
        panels: Any = figure.subplots(1, len(numbers.test_sets), squeeze=False)
        for axes, name in zip(panels.flat, numbers.test_sets, strict=True):
            _draw_cost(axes, maxf, name, numbers, "this campaign", {"color": PALETTE[0], "marker": "o"})
            for style, other in zip(cycle(_OTHER_STROKES), compared, strict=False):
                if name in other.numbers.test_sets:
                    _draw_cost(axes, maxf, name, other.numbers, other.label, {"color": PALETTE[1], **style})
            axes.set(title=name, xlabel="device seconds", ylabel=maxf.name)
        legend_below(figure, panels.flat[0], columns=2)

    return chart(draw, width=4.2 * len(numbers.test_sets), height=3.0 + 0.2 * len(compared))


def _draw_cost(
    axes: Axes, measure: Measure, test_set: str, numbers: Numbers, label: str, style: dict[str, Any]
) -> None:
    found = [one for one in numbers.rounds if test_set in one.metrics and one.cost]
    seconds = [numbers.device_seconds(one.number) for one in found]
    values = [measure.of(one.metrics[test_set]["ensemble"]) for one in found]
    axes.plot(seconds, values, label=visible(label), **style)


def pr_curves(numbers: Numbers) -> str:
    """Precision over recall on every test set, last round."""
    names = numbers.test_sets
    columns = min(len(names), 3)
    rows = (len(names) + columns - 1) // columns

    def draw(figure: Figure) -> None:
        panels: Any = figure.subplots(rows, columns, squeeze=False)
        for axes, name in zip(panels.flat, names, strict=False):
            for member, color in zip(MEMBERS, PALETTE, strict=False):
                found = numbers.rounds[-1].metrics[name][member]
                axes.plot(found.recall, found.precision, color=color, label=member, **_STROKES[member])
            axes.set(title=name, xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.01))
            axes.legend(loc="best")
        for axes in panels.flat[len(names) :]:
            axes.set_axis_off()

    return chart(draw, width=3.2 * columns, height=2.9 * rows)


def training_curves(numbers: Numbers, plan: TrainConfig) -> str:
    """Learning rate of the last round; loss and delta (Eq. 7) of every round."""
    ends = snapshot_epochs(plan.epochs, plan.cycles)

    def draw(figure: Figure) -> None:
        panels: Any = figure.subplots(1, 3)
        _draw_rate(panels[0], numbers.rounds[-1], numbers.images, plan)
        shades = matplotlib.colormaps[SHADES](np.linspace(0.1, 0.9, len(numbers.rounds))[::-1])
        for found, color in zip(numbers.rounds, shades, strict=True):
            panels[1].plot(
                [entry["epoch"] + 1 for entry in found.epochs],
                [entry["loss"] for entry in found.epochs],
                color=color,
            )
            deltas = [
                (ends.index(entry["epoch"]) + 1, entry["delta"]) for entry in found.epochs if "delta" in entry
            ]
            panels[2].plot(
                [snapshot for snapshot, _ in deltas], [delta for _, delta in deltas], marker="o", color=color
            )
        panels[1].set(title="training loss", xlabel="epoch")
        panels[2].set(
            title="delta between snapshots (Eq. 7)",
            xlabel="snapshot",
            xlim=(0.8, plan.cycles + 0.2),
            ylim=(0, None),
        )
        for axes in panels[1:]:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if len(numbers.rounds) > 1:
            _round_bar(figure, panels[2], shades)

    return chart(draw)


def _draw_rate(axes: Axes, found: Round, images: int, plan: TrainConfig) -> None:
    """The rate that the schedule gives in each iteration, and what the training logged."""
    per_epoch = batches_per_epoch(images, plan.batch_size, plan.drop_last)
    total, ends = per_epoch * plan.epochs, np.arange(plan.epochs + 1) * per_epoch
    even = np.linspace(1, total, min(total, _MOST_RATES)).astype(int)
    iterations = np.unique(np.concatenate([even, ends[1:], ends[:-1] + 1]))
    rates = [
        learning_rate(plan.schedule, int(i), per_epoch, plan.epochs, plan.cycles, plan.lr_max, plan.lr_min)
        for i in iterations
    ]
    axes.plot(iterations, rates, color=PALETTE[0], label="schedule")
    first = np.array([entry["epoch"] for entry in found.epochs]) * per_epoch + 1
    for x, key, label in ((first, "lr_first", "logged"), (first + per_epoch - 1, "lr_last", None)):
        axes.plot(x, [entry[key] for entry in found.epochs], ".", color=PALETTE[1], markersize=4, label=label)
    axes.set(
        title=f"learning rate of the head, round {found.number}",
        xlabel="iteration",
        ylim=(0, 1.25 * plan.lr_max),
    )
    axes.legend(loc="upper center", ncols=2)


def _round_bar(figure: Figure, axes: Axes, shades: NDArray[np.float64]) -> None:
    """The key to the colours that stand for rounds."""
    rounds = len(shades)
    scale = ScalarMappable(BoundaryNorm(np.arange(rounds + 1) - 0.5, rounds), ListedColormap(shades))
    bar = figure.colorbar(scale, ax=axes, label="round", ticks=range(0, rounds, -(-rounds // _MOST_TICKS)))
    bar.outline.set_visible(False)


def positions_chart(numbers: Numbers) -> str:
    """Where in the image points lie: the random start, and what was asked."""
    parts = {"random start": numbers.rounds[:1], "asked": numbers.rounds[1:]}
    found = {name: [of.points for of in rounds] for name, rounds in parts.items() if rounds}
    densities = {name: density([points.cells for points in added]) for name, added in found.items()}
    top = max(float(values.max()) for values in densities.values())

    def draw(figure: Figure) -> None:
        panels: Any = figure.subplots(1, len(found), squeeze=False)
        for axes, (name, values) in zip(panels.flat, densities.items(), strict=True):
            picture = axes.imshow(
                values, cmap=SHADES, vmin=0, vmax=top, extent=(0, 1, 1, 0), interpolation="nearest"
            )
            total = sum(points.total for points in found[name])
            axes.set(title=f"{name}: {total:,} points", xlabel="x / width", ylabel="y / height")
            axes.grid(False)
        bar = figure.colorbar(picture, ax=panels, label="density, 1 where points are spread evenly")
        bar.outline.set_visible(False)

    return chart(draw, width=3.6 * len(found) + 0.8, height=3.4)
