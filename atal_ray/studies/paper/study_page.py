"""study.html: claims of the paper beside what was found, with tables, pictures, and charts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from atal_ray.config import config_file
from atal_ray.evaluation.score_table import DAGGER, DIGITS, ScoreTable
from atal_ray.report import overlays
from atal_ray.report.figure import SHADES
from atal_ray.report.page import REPORT, template
from atal_ray.report.pictures import Picture
from atal_ray.report.shown_images import ShownImage
from atal_ray.report.tables import Cell, Table
from atal_ray.store.folder import Folder
from atal_ray.studies.paper.judging import FAILS, HOLDS, OPEN, UNDECIDED
from atal_ray.studies.paper.results import StudyResult
from atal_ray.studies.paper.study_charts import HEIGHT, WIDTH, charts_of
from atal_ray.studies.paper.study_tables import NOTHING, TextTable, evidence, layout_title, tables_of
from atal_ray.studies.paper.units import UNITS

if TYPE_CHECKING:
    from atal_ray.studies.paper.study import Studies

PAGE = "study.html"
CLASSES = {HOLDS: "holds", FAILS: "fails", UNDECIDED: "undecided", OPEN: "open"}
DENSITY_SIDE = 240
"""Of a picture of where points lie."""


def write_page(
    root: Folder,
    plan: "Studies",
    results: Sequence[StudyResult],
    notices: Sequence[str],
    facts: Mapping[str, str],
) -> None:
    """Write study.html.

    Args:
        root: folder of the studies.
        plan: what was run.
        results: of each study.
        notices: why campaigns failed, and what else is missing.
        facts: what everything was made with.
    """
    html = template("study.html.j2").render(
        name=root.name,
        facts=facts,
        studies=[_section(one) for one in results],
        notices=notices,
        plan=config_file.to_yaml(plan),
        size=(WIDTH, HEIGHT),
    )
    root.write_bytes(PAGE, html.encode())


def _section(result: StudyResult) -> dict[str, Any]:
    found = result.found
    main, *others = tables_of(found)
    tables = [_table(one) for one in others]
    if result.layout is not None:
        tables.append(_layout(result.layout, layout_title(found)))
    claims = [
        {**claim, "evidence": evidence(claim), "class": CLASSES[claim["verdict"]]}
        for claim in found["claims"]
    ]
    return {
        "name": found["study"],
        "title": found["title"],
        "claims": claims,
        "table": _with_links(main, found),
        "tables": tables,
        "notes": result.layout.notes if result.layout else (),
        "charts": charts_of(found),
        "pictures": result.pictures,
        "maps": result.maps,
        "density": _density(found.get("places", {})),
        "grids": [grid_of(found, name) for name in found["sets"] if "axes" in found],
    }


def _table(table: TextTable) -> Table:
    return Table(table.title, (), tuple(table.heads), tuple(tuple(map(Cell, row)) for row in table.rows))


def _with_links(table: TextTable, found: Mapping[str, Any]) -> Table:
    """The table of the arms, each of which leads to the report of its first campaign."""
    linked = [row["units"] if row["labels"] != "finished masks" else [] for row in found["rows"]]
    rows = tuple(
        (Cell(name, href=f"{UNITS}/{units[0]}/{REPORT}" if units else ""), *map(Cell, cells))
        for units, (name, *cells) in zip(linked, table.rows, strict=True)
    )
    return Table(table.title, (), tuple(table.heads), rows)


def _layout(table: ScoreTable, title: str) -> Table:
    """The paper's layout, with the best of each row marked."""
    rows = []
    for row in table.rows:
        arrow = "" if row.source == "share" else " ↑" if row.higher_is_better else " ↓"
        shown = "{:.1%}" if row.source == "share" else f"{{:.{DIGITS}f}}"
        cells = [
            Cell(
                NOTHING
                if score.value is None
                else shown.format(score.value) + (DAGGER if score.misprint else ""),
                best=score.place == 1,
            )
            for score in row.cells
        ]
        rows.append((Cell(row.test_set), Cell(row.label + arrow), *cells))
    return Table(title, (), ("set", "metric", *table.methods), tuple(rows))


def _density(places: Mapping[str, Sequence[Sequence[float]]]) -> ShownImage | None:
    """Where the points of each arm lie in their images, in one scale of colours."""
    if not places:
        return None
    top = max(max(map(max, values)) for values in places.values())
    shape = DENSITY_SIDE, DENSITY_SIDE
    pictures = tuple(
        Picture(
            f"{name}: up to {max(map(max, values)):.2f} times an even spread",
            overlays.heat(np.array(values), shape, top, SHADES),
        )
        for name, values in places.items()
    )
    return ShownImage("points", *shape, pictures=pictures)


@dataclass(frozen=True)
class Tile:
    """A value of a parameter, with the maxF of its arm."""

    value: str
    text: str
    share: int
    """Percent of the way from the lowest maxF to the highest."""
    own: bool
    """Whether ATAL has this value."""


def grid_of(found: Mapping[str, Any], test_set: str) -> dict[str, Any]:
    """Each parameter with its values, darker where the maxF on a test set is higher."""
    rows = {row["arm"]: row["figures"].get(test_set) for row in found["rows"]}
    known = [figures["max_f"]["mean"] for figures in rows.values() if figures]
    low, high = (min(known), max(known)) if known else (0.0, 0.0)
    own = found["rows"][0]["arm"]

    def tile(value: str, arm: str) -> Tile:
        figures = rows[arm]
        if not figures:
            return Tile(value, NOTHING, 0, arm == own)
        mean = figures["max_f"]["mean"]
        return Tile(value, f"{mean:.4f}", round(100 * (mean - low) / max(high - low, 1e-9)), arm == own)

    axes = {name: [tile(*one) for one in values.items()] for name, values in found["axes"].items()}
    return {"test_set": test_set, "axes": axes}
