"""study.html: claims of the paper beside what was found, with tables, and curves with values on hover."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from atal_ray.config import config_file
from atal_ray.report.figure import PALETTE
from atal_ray.report.page import REPORT, template
from atal_ray.report.shown_images import ShownImage
from atal_ray.report.tables import Cell, Table
from atal_ray.store.folder import Folder
from atal_ray.studies.paper.reading import FAILS, HOLDS, OPEN, UNDECIDED
from atal_ray.studies.paper.study_tables import evidence, heads_of, rows_of
from atal_ray.studies.paper.units import UNITS

if TYPE_CHECKING:
    from atal_ray.studies.paper.study import Studies

PAGE = "study.html"
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 520, 300, 54, 34, 14
"""Of a chart and its margins, in pixels."""
CLASSES = {HOLDS: "holds", FAILS: "fails", UNDECIDED: "undecided", OPEN: "open"}


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
    """Curves of one figure on one test set."""

    title: str
    curves: tuple[Curve, ...]
    ticks_x: tuple[tuple[float, str], ...]
    ticks_y: tuple[tuple[float, str], ...]


def write_page(
    root: Folder,
    plan: "Studies",
    found: Mapping[str, Mapping[str, Any]],
    failures: Mapping[str, str],
    work: Mapping[str, int],
    pictures: Mapping[str, Mapping[str, Sequence[ShownImage]]],
) -> None:
    """Write study.html.

    Args:
        root: folder of the studies.
        plan: what was run.
        found: the results of each study.
        failures: why campaigns failed, by name.
        work: passes over each image, together and apart.
        pictures: study -> test set -> images with predictions, of studies that show some.
    """
    html = template("study.html.j2").render(
        name=root.name,
        facts=_facts(root, plan, work),
        studies=[{**_section(one), "pictures": pictures.get(name, {})} for name, one in found.items()],
        failures=list(failures.items()),
        plan=config_file.to_yaml(plan),
        size=(WIDTH, HEIGHT),
    )
    root.write_bytes(PAGE, html.encode())


def _facts(root: Folder, plan: "Studies", work: Mapping[str, int]) -> dict[str, str]:
    base = plan.campaign
    share = f", {work['together'] / work['apart']:.0%} of the studies apart" if work["apart"] else ""
    return {
        "Folder": root.uri,
        "Scale": plan.scale,
        "Data": base.data.train or "embedded images",
        "Images": str(base.data.limit or "all"),
        "Network": f"{base.network.name} at {base.train.size} px, {base.train.epochs} epochs a round, "
        f"L = {base.train.cycles}",
        "Seeds": f"{plan.seeds}, from {base.seed} on",
        "Metrics": "classic maxF (beta^2 = 0.3), S-measure, MAE of the mean map of the snapshots",
        "Training passes over each image": f"{work['together']:,}{share}",
        "Written": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "Versions": ", ".join(f"{name} {version(name)}" for name in ("atal-ray", "torch", "ray")),
    }


def _section(found: Mapping[str, Any]) -> dict[str, Any]:
    columns = tuple(heads_of(found))
    rows = tuple(
        (Cell(name, href=f"{UNITS}/{row['units'][0]}/{REPORT}" if row["units"] else ""), *map(Cell, cells))
        for row, (name, *cells) in zip(found["rows"], rows_of(found), strict=True)
    )
    claims = [
        {**claim, "evidence": evidence(claim), "class": CLASSES[claim["verdict"]]}
        for claim in found["claims"]
    ]
    charts = [
        chart_of(found, name, figure, f"{label} on {name}")
        for name in found["sets"]
        for figure, label in (("max_f", "maxF"), ("s_measure", "S-measure"))
        if "curves" in found
    ]
    return {
        "name": found["study"],
        "title": found["title"],
        "claims": claims,
        "table": Table(found["title"], (), columns, rows),
        "charts": [chart for chart in charts if chart is not None],
    }


def chart_of(found: Mapping[str, Any], test_set: str, figure: str, title: str) -> Chart | None:
    """A figure over clicks, each arm a curve; full masks are a line at the top, and one at 95 % of it."""
    series = {
        name: [
            (row["clicks"], row["figures"][test_set][figure]) for row in rows if test_set in row["figures"]
        ]
        for name, rows in found["curves"].items()
    }
    clicks = sorted({at for rows in series.values() for at, _ in rows if at is not None})
    if not clicks:
        return None
    flat = {name: rows[0][1]["mean"] for name, rows in series.items() if rows and rows[0][0] is None}
    lines = {**flat, **{f"95 % of {name}": 0.95 * value for name, value in flat.items()}}
    values = [value[key] for rows in series.values() for _, value in rows for key in ("low", "high")]
    low, high = min([*values, *lines.values()]), max([*values, *lines.values()])
    room = max(high - low, 1e-3)
    low, high = low - 0.05 * room, high + 0.05 * room

    def x(at: float) -> float:
        wide = max(clicks[-1] - clicks[0], 1)
        return float(round(LEFT + (WIDTH - LEFT - 12) * (at - clicks[0]) / wide, 1))

    def y(value: float) -> float:
        return float(round(TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low), 1))

    curves = []
    for number, (name, rows) in enumerate(series.items()):
        colour, marked = PALETTE[number % len(PALETTE)], [(at, value) for at, value in rows if at is not None]
        if not marked:
            continue
        up = [f"{x(at)},{y(value['high'])}" for at, value in marked]
        down = [f"{x(at)},{y(value['low'])}" for at, value in reversed(marked)]
        line = " ".join(f"{x(at)},{y(value['mean'])}" for at, value in marked)
        marks = tuple(
            Mark(
                x(at),
                y(value["mean"]),
                f"{name}, {at} clicks: {value['mean']:.4f} ({value['low']:.4f} to {value['high']:.4f})",
            )
            for at, value in marked
        )
        curves.append(Curve(name, colour, number >= len(PALETTE), line, " ".join([*up, *down]), marks))
    for name, value in lines.items():
        line = f"{x(clicks[0])},{y(value)} {x(clicks[-1])},{y(value)}"
        mark = Mark(x(clicks[-1]), y(value), f"{name}: {value:.4f}")
        curves.append(Curve(name, "#7f7f7f", name not in flat, line, "", (mark,)))
    steps = [low + (high - low) * part / 4 for part in range(5)]
    return Chart(
        title,
        tuple(curves),
        tuple((x(at), str(at)) for at in clicks),
        tuple((y(value), f"{value:.3f}") for value in steps),
    )
