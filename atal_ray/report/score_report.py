"""What an evaluation leaves for people: tables, curves, comparisons, and notes on every map that was not as it should be."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import combinations
from typing import Any

from atal_ray.config.evaluation import EvaluationConfig
from atal_ray.errors import ConfigError, DataError
from atal_ray.evaluation_folder import IMAGES, INCOMPLETE, LISTED, METRICS, NOTES
from atal_ray.files import ROWS_PER_GROUP, Folder
from atal_ray.metrics.accumulator import Metrics
from atal_ray.metrics.bootstrap import paired_bootstrap
from atal_ray.metrics.published import methods as published_methods
from atal_ray.report.score_curves import score_figures
from atal_ray.report.score_formats import to_csv, to_latex, to_markdown
from atal_ray.report.score_table import METRICS as ALL_METRICS
from atal_ray.report.score_table import score_table

Places = Mapping[tuple[str, str], Folder]
"""(test set, method) -> the folder of their scores."""
SHOWN = 3


def write_score_report(root: Folder, places: Places, config: EvaluationConfig) -> list[str]:
    """Write table.md, .tex and .csv, all_metrics.md and .csv, curves/, a JSON for each set and method, notes.csv, comparison.*.

    Returns:
        A sentence for each set, method and kind of note that makes the evaluation incomplete.

    Raises:
        DataError: no map could be read at all.
        ConfigError: a method to compare with was not evaluated.
    """
    results: dict[str, dict[str, Metrics]] = {}
    for (name, method), place in places.items():
        found = place.read_json(METRICS)
        if found is not None:
            results.setdefault(name, {})[method] = Metrics.from_json(found)
        (root / "scores" / name).write_lines(f"{method}.json", _json_lines(place, found))
    _write_notes(root, places)
    if not results:
        raise DataError(f"none of the maps could be read: {root.uri}/notes.csv says why")
    _write_tables(root, results, config)
    for name, files in score_figures(results).items():
        for suffix, data in files.items():
            (root / "curves").write_bytes(f"{name}.{suffix}", data)
    if config.compare:
        _write_comparison(root, places, config.compare)
    return list(_sentences(places))


def _write_tables(root: Folder, results: Mapping[str, Mapping[str, Metrics]], config: EvaluationConfig) -> None:
    measured = tuple(dict.fromkeys(method for found in results.values() for method in found))
    columns = tuple(dict.fromkeys((*published_methods(), *measured))) if config.published else measured
    table = score_table(results, methods=columns, relative_to=config.relative_to, published=config.published)
    for suffix, text in (("md", to_markdown(table)), ("tex", to_latex(table)), ("csv", to_csv(table))):
        root.write_bytes(f"table.{suffix}", text.encode())
    everything = score_table(results, metrics=tuple(ALL_METRICS))
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


def _write_comparison(root: Folder, places: Places, methods: tuple[str, ...]) -> None:
    """Paired bootstrap between each two of the methods on every set that has both."""
    unknown = sorted(set(methods) - {method for _, method in places})
    if unknown:
        raise ConfigError(f"compare names {', '.join(unknown)}, which was not evaluated")
    found: list[dict[str, Any]] = []
    lines = ["| set | A - B | metric | difference | 95 % interval | p |", "|---|---|---|---|---|---|"]
    for name in dict.fromkeys(name for name, _ in places):
        for a, b in combinations(methods, 2):
            tables = [places[name, method].read_table(IMAGES) for method in (a, b)]
            common = set(tables[0]["image_id"].to_pylist()) & set(tables[1]["image_id"].to_pylist())
            kept = [table.filter([image in common for image in table["image_id"].to_pylist()]) for table in tables]
            for metric, difference in paired_bootstrap(*kept).items():
                found.append({"set": name, "a": a, "b": b, "metric": metric, **asdict(difference)})
                interval = f"{difference.low:+.4f} to {difference.high:+.4f}"
                lines.append(f"| {name} | {a} - {b} | {metric} | {difference.mean:+.4f} | {interval} | {difference.p:.4f} |")
    root.write_json("comparison.json", found)
    root.write_bytes("comparison.md", ("\n".join(lines) + "\n").encode())


def _notes(place: Folder) -> Iterator[dict[str, str]]:
    for name in (LISTED, NOTES):
        yield from place.read_table(name).to_pylist()


def _write_notes(root: Folder, places: Places) -> None:
    """Write notes.csv: set, method, image_id, kind, note."""

    def lines() -> Iterator[str]:
        yield "set,method,image_id,kind,note"
        for (name, method), place in places.items():
            for note in _notes(place):
                text = io.StringIO()
                csv.writer(text, lineterminator="").writerow([name, method, note["image_id"], note["kind"], note["note"]])
                yield text.getvalue()

    root.write_lines("notes.csv", lines())


def _sentences(places: Places) -> Iterator[str]:
    for (name, method), place in places.items():
        notes = list(_notes(place))
        for kind, count in Counter(note["kind"] for note in notes).items():
            shown = [note["note"] for note in notes if note["kind"] == kind][:SHOWN]
            if kind in INCOMPLETE:
                more = f"; and {count - SHOWN} more in notes.csv" if count > SHOWN else ""
                yield f"{method} on {name}, {kind}: {'; '.join(shown)}{more}"
