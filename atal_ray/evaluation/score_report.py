"""What an evaluation writes for people: tables, curves, comparisons, and notes on every faulty map."""

import csv
import io
import json
import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import combinations, permutations
from typing import Any

import pyarrow.compute as pc

from atal_ray.config.evaluation import EvaluationConfig
from atal_ray.errors import DataError
from atal_ray.evaluation.bootstrap import paired_bootstrap
from atal_ray.evaluation.evaluation_folder import IMAGES, INCOMPLETE, LISTED, METRICS, NOTES
from atal_ray.evaluation.published import lookup
from atal_ray.evaluation.published import methods as published_methods
from atal_ray.evaluation.score_curves import score_figures
from atal_ray.evaluation.score_formats import markdown_row, markdown_text, to_csv, to_latex, to_markdown
from atal_ray.evaluation.score_table import STANDARD, TABLE_2, score_table
from atal_ray.metrics.accumulator import Metrics
from atal_ray.metrics.metric_names import METRIC_LABELS
from atal_ray.store.folder import ROWS_PER_GROUP, Folder

logger = logging.getLogger(__name__)

Places = Mapping[tuple[str, str], Folder]
"""(test set, method) -> the folder of their scores."""
SCORES = "scores.json"
SHOWN = 3


def write_score_report(root: Folder, places: Places, config: EvaluationConfig) -> list[str]:
    """Write table.md, .tex and .csv, all_metrics.md and .csv, curves/, comparison/, notes.csv, scores.json.

    Returns:
        A sentence for each set, method and kind of note that makes the evaluation incomplete.

    Raises:
        DataError: no map could be read at all.
        CampaignError: a file of the folder is damaged.
    """
    results: dict[str, dict[str, Metrics]] = {}
    for (name, method), place in places.items():
        found = place.read_json(METRICS)
        if found is not None:
            results.setdefault(name, {})[method] = Metrics.from_json(found)
        place.write_lines(SCORES, _json_lines(place, found))
    _write_notes(root, places)
    if not results:
        raise DataError(f"none of the maps could be read: {root.uri}/notes.csv says why")
    _write_tables(root, results, config)
    (root / "curves").delete()  # those of an earlier call may be of other sets
    for name, files in score_figures(results).items():
        for suffix, data in files.items():
            (root / "curves").write_bytes(f"{name}.{suffix}", data)
    (root / "comparison").delete()
    if config.compare:
        _write_comparison(root / "comparison", places, config.compare)
    return list(_sentences(places))


def _write_tables(
    root: Folder, results: Mapping[str, Mapping[str, Metrics]], config: EvaluationConfig
) -> None:
    measured = tuple(dict.fromkeys(method for found in results.values() for method in found))
    known = config.published and any(
        lookup(name, "maxF", method) for name in results for method in published_methods()
    )
    if config.published and not known:
        logger.warning(
            f"the paper has no numbers for {', '.join(results)}: name its sets "
            "DUT-OMRON, DUTS-TE, ECSSD, HKU-IS, PASCAL-S"
        )
    columns = tuple(dict.fromkeys((*published_methods(), *measured))) if known else measured
    # a method of which no map could be read was not measured; its notes say so
    relative_to = config.relative_to if config.relative_to in measured else None
    metrics = config.metrics or (TABLE_2 if known else STANDARD)
    table = score_table(results, metrics, columns, relative_to, config.published)
    for suffix, text in (("md", to_markdown(table)), ("tex", to_latex(table)), ("csv", to_csv(table))):
        root.write_bytes(f"table.{suffix}", text.encode())
    everything = score_table(results, metrics=tuple(METRIC_LABELS))
    root.write_bytes("all_metrics.md", to_markdown(everything).encode())
    root.write_bytes("all_metrics.csv", to_csv(everything).encode())


def _json_lines(place: Folder, metrics: Any) -> Iterator[str]:
    """The means and, one a line, the scores of every image."""
    yield f'{{"metrics": {json.dumps(metrics)}, "images": ['
    rows = place.count_rows(IMAGES)
    for start in range(0, rows, ROWS_PER_GROUP):
        stop = min(start + ROWS_PER_GROUP, rows)
        for number, row in enumerate(place.read_rows(IMAGES, start, stop).to_pylist(), start=start + 1):
            yield json.dumps(row) + ("," if number < rows else "")
    yield "]}"


def _write_comparison(out: Folder, places: Places, methods: tuple[str, ...]) -> None:
    """Paired bootstrap of every two methods on every set, over the images that have a score of both."""
    found: list[dict[str, Any]] = []
    lines = [
        markdown_row(["set", "A - B", "metric", "difference", "95 % interval", "p"]),
        markdown_row(["---"] * 6),
    ]
    for name in dict.fromkeys(name for name, _ in places):
        for a, b in combinations(methods, 2):
            tables = [places[name, method].read_table(IMAGES) for method in (a, b)]
            both = [
                table.filter(pc.is_in(table["image_id"], value_set=other["image_id"]))
                for table, other in permutations(tables)
            ]
            if not both[0].num_rows:
                pair = map(markdown_text, (name, f"{a} - {b}"))
                lines.append(markdown_row([*pair, "no image has a score of both", "", "", ""]))
                continue
            for metric, difference in paired_bootstrap(*both).items():
                found.append({"set": name, "a": a, "b": b, "metric": metric, **asdict(difference)})
                interval = f"{difference.low:+.4f} to {difference.high:+.4f}"
                numbers = [f"{difference.mean:+.4f}", interval, f"{difference.p:.4f}"]
                lines.append(markdown_row(map(markdown_text, [name, f"{a} - {b}", metric, *numbers])))
    out.write_json("bootstrap.json", found)
    out.write_bytes("bootstrap.md", ("\n".join(lines) + "\n").encode())


def _notes(place: Folder) -> Iterator[dict[str, str]]:
    for name in (LISTED, NOTES):
        rows = place.count_rows(name)
        for start in range(0, rows, ROWS_PER_GROUP):
            yield from place.read_rows(name, start, min(start + ROWS_PER_GROUP, rows)).to_pylist()


def _write_notes(root: Folder, places: Places) -> None:
    """Write notes.csv: set, method, image_id, kind, note."""

    def lines() -> Iterator[str]:
        yield "set,method,image_id,kind,note"
        for (name, method), place in places.items():
            for note in _notes(place):
                text = io.StringIO()
                cells = (name, method, note["image_id"], note["kind"], note["note"])
                csv.writer(text).writerow([" ".join(cell.split()) for cell in cells])  # one line a note
                yield text.getvalue().rstrip()

    root.write_lines("notes.csv", lines())


def _sentences(places: Places) -> Iterator[str]:
    for (name, method), place in places.items():
        counts: Counter[str] = Counter()
        shown: dict[str, list[str]] = {kind: [] for kind in INCOMPLETE}
        for note in _notes(place):
            counts[note["kind"]] += 1
            if counts[note["kind"]] <= SHOWN and note["kind"] in shown:
                shown[note["kind"]].append(note["note"])
        for kind, notes in shown.items():
            if notes:
                more = f"; and {counts[kind] - SHOWN} more in notes.csv" if counts[kind] > SHOWN else ""
                yield f"{method} on {name}, {kind}: {'; '.join(notes)}{more}"
