"""The charts of study.html: curves with bands over seeds and values on hover, as SVG coordinates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from atal_ray.report.figure import PALETTE

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 520, 300, 54, 34, 14
"""Of a chart and its margins, in pixels."""
GREY = "#7f7f7f"
MOST_MARKS, MOST_TICKS = 40, 11
"""More points than that are drawn as a line alone; ticks of an axis."""
Series = Mapping[str, Sequence[tuple[float, Mapping[str, float]]]]
"""Name of a curve -> x, and mean, low and high over seeds; x ascends."""


@dataclass(frozen=True)
class Mark:
    """A mark of a curve with what it says on hover."""

    x: float
    y: float
    title: str


@dataclass(frozen=True)
class Curve:
    """A curve with its band over seeds, in pixels."""

    name: str
    colour: str
    dashed: bool
    line: str
    band: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class Chart:
    """Curves of one figure."""

    title: str
    across: str
    """What x is."""
    curves: tuple[Curve, ...]
    ticks_x: tuple[tuple[float, str], ...]
    ticks_y: tuple[tuple[float, str], ...]


def charts_of(found: Mapping[str, Any]) -> list[Chart]:
    """The charts of a study: figures over clicks, and how its networks were trained."""
    charts = [
        _over_clicks(found, name, figure, f"{label} on {name}")
        for name in found["sets"]
        for figure, label in (("max_f", "maxF"), ("s_measure", "S-measure"))
        if "curves" in found
    ]
    if training := found.get("training"):
        for key, title, across in (
            ("loss", "training loss, last round", "epochs"),
            ("delta", "delta between snapshots (Eq. 7)", "snapshot"),
        ):
            charts.append(line_chart(title, across, {name: one[key] for name, one in training.items()}))
        rates = {name: [(at, _exact(value)) for at, value in one["rate"]] for name, one in training.items()}
        charts.append(line_chart("learning rate of the head", "epochs", rates))
    return [chart for chart in charts if chart is not None]


def _exact(value: float) -> dict[str, float]:
    return dict.fromkeys(("mean", "low", "high"), value)


def _over_clicks(found: Mapping[str, Any], test_set: str, figure: str, title: str) -> Chart | None:
    """A figure over clicks, each arm a curve; full masks are a line at the top, and one at 95 % of it."""
    series = {
        name: [
            (row["clicks"], row["figures"][test_set][figure]) for row in rows if test_set in row["figures"]
        ]
        for name, rows in found["curves"].items()
    }
    flat = {name: rows[0][1]["mean"] for name, rows in series.items() if rows and rows[0][0] is None}
    asked = {name: rows for name, rows in series.items() if rows and name not in flat}
    dashed = {f"95 % of {name}": 0.95 * value for name, value in flat.items()}
    return line_chart(title, "clicks an image", asked, flat, dashed)


def line_chart(
    title: str,
    across: str,
    series: Series,
    flat: Mapping[str, float] | None = None,
    dashed: Mapping[str, float] | None = None,
) -> Chart | None:
    """Curves with bands, and level lines; None where there is no curve.

    Args:
        title: of the chart.
        across: what x is.
        series: the curves; those beyond the palette are dashed.
        flat: name of a level line -> its height.
        dashed: the same of dashed ones.
    """
    flat, dashed = flat or {}, dashed or {}
    places = sorted({at for rows in series.values() for at, _ in rows})
    if not places:
        return None
    heights = [value[key] for rows in series.values() for _, value in rows for key in ("low", "high")]
    axes = _Axes.around(places, [*heights, *flat.values(), *dashed.values()])
    curves = [
        _curve(name, number, rows, axes, across) for number, (name, rows) in enumerate(series.items()) if rows
    ]
    for lines, broken in ((flat, False), (dashed, True)):
        for name, value in lines.items():
            line = f"{axes.x(places[0])},{axes.y(value)} {axes.x(places[-1])},{axes.y(value)}"
            mark = Mark(axes.x(places[-1]), axes.y(value), f"{name}: {value:.4f}")
            curves.append(Curve(name, GREY, broken, line, "", (mark,)))
    return Chart(title, across, tuple(curves), axes.ticks_x(places), axes.ticks_y())


@dataclass(frozen=True)
class _Axes:
    """From values to pixels."""

    left: float
    right: float
    low: float
    high: float

    @classmethod
    def around(cls, places: Sequence[float], heights: Sequence[float]) -> "_Axes":
        room = 0.05 * max(max(heights) - min(heights), 1e-3)
        return cls(places[0], places[-1], min(heights) - room, max(heights) + room)

    def x(self, at: float) -> float:
        wide = (self.right - self.left) or 1
        return float(round(LEFT + (WIDTH - LEFT - 12) * (at - self.left) / wide, 1))

    def y(self, value: float) -> float:
        return float(round(TOP + (HEIGHT - TOP - BOTTOM) * (self.high - value) / (self.high - self.low), 1))

    def ticks_x(self, places: Sequence[float]) -> tuple[tuple[float, str], ...]:
        whole = [at for at in places if float(at).is_integer()] or [places[0], places[-1]]
        return tuple((self.x(at), f"{at:g}") for at in whole[:: -(-len(whole) // MOST_TICKS)])

    def ticks_y(self) -> tuple[tuple[float, str], ...]:
        steps = [self.low + (self.high - self.low) * part / 4 for part in range(5)]
        return tuple((self.y(value), f"{value:.3g}") for value in steps)


def _curve(
    name: str, number: int, rows: Sequence[tuple[float, Mapping[str, float]]], axes: _Axes, across: str
) -> Curve:
    up = [f"{axes.x(at)},{axes.y(value['high'])}" for at, value in rows]
    down = [f"{axes.x(at)},{axes.y(value['low'])}" for at, value in reversed(rows)]
    line = " ".join(f"{axes.x(at)},{axes.y(value['mean'])}" for at, value in rows)
    unit = across.split()[0]
    marks = tuple(
        Mark(
            axes.x(at),
            axes.y(value["mean"]),
            f"{name}, {at:g} {unit}: {value['mean']:.4f} ({value['low']:.4f} to {value['high']:.4f})",
        )
        for at, value in rows
    )
    colour = PALETTE[number % len(PALETTE)]
    shown = marks if len(marks) <= MOST_MARKS else ()
    return Curve(name, colour, number >= len(PALETTE), line, " ".join([*up, *down]), shown)
