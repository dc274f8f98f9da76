"""The tables of a study as Markdown, LaTeX and JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

from atal_ray.evaluation.score_formats import latex_text, markdown_row
from atal_ray.store.folder import Folder

SHOWN = {"max_f": "maxF", "s_measure": "S", "mae": "MAE"}
PUBLISHED = ("paper: DUT-OMRON maxF", "S", "DUTS-TE maxF", "S")
NOTHING = "–"


def write_tables(root: Folder, name: str, found: Mapping[str, Any]) -> None:
    """Write NAME.json, NAME.md and NAME.tex."""
    root.write_json(f"{name}.json", found)
    heads, rows = heads_of(found), rows_of(found)
    lines = [f"# {found['title']}", "", markdown_row(heads), markdown_row(["---"] * len(heads))]
    lines += [markdown_row(row) for row in rows]
    lines += ["", *(f"- {sentence}" for sentence in sentences_of(found))]
    root.write_bytes(f"{name}.md", ("\n".join(lines) + "\n").encode())
    root.write_bytes(f"{name}.tex", latex(heads, rows).encode())


def heads_of(found: Mapping[str, Any]) -> list[str]:
    """The headings of a study's table."""
    heads = ["arm", "clicks", "labels", "seeds", "training passes", "query passes", "device s"]
    heads += [f"{name} {label}" for name in found["sets"] for label in SHOWN.values()]
    return [*heads, *(PUBLISHED if found["published"] else ())]


def rows_of(found: Mapping[str, Any]) -> list[list[str]]:
    """A row for each arm, as text."""
    return [_row(found, row) for row in found["rows"]]


def _row(found: Mapping[str, Any], row: Mapping[str, Any]) -> list[str]:
    cost = row.get("cost", {})
    cells = [
        row["arm"],
        NOTHING if row["clicks"] is None else str(row["clicks"]),
        row["labels"],
        str(len(row["seeds"])),
        *(f"{cost[name]:,.0f}" if cost else NOTHING for name in ("training_passes", "query_passes")),
        f"{cost['device_seconds']:,.0f}" if cost else NOTHING,
    ]
    for name in found["sets"]:
        figures = row["figures"].get(name)
        cells += [spread_text(figures[figure]) if figures else NOTHING for figure in SHOWN]
    if found["published"]:
        values = found["published"].get(row["arm"])
        cells += [f"{value:.4f}" for value in values] if values else [NOTHING] * len(PUBLISHED)
    return cells


def spread_text(value: Mapping[str, float]) -> str:
    """Mean and range over seeds."""
    same = value["low"] == value["high"]
    return f"{value['mean']:.4f}" + ("" if same else f" ({value['low']:.3f} to {value['high']:.3f})")


def sentences_of(found: Mapping[str, Any]) -> list[str]:
    """What became of each claim, in a sentence."""
    return [
        f"{claim['where']}, {claim['says']}: {claim['verdict']}{evidence(claim)}" for claim in found["claims"]
    ]


def evidence(claim: Mapping[str, Any]) -> str:
    """The differences that a verdict rests on; "no difference" where an interval holds 0."""
    if "of_arms" in claim and claim["of_arms"][0]:
        ours, theirs = (sum(values) / len(values) for values in claim["of_arms"])
        return f" ({ours:.4f} against {theirs:.4f})"
    parts = []
    for name, apart in claim["differences"].items():
        if apart:
            nothing = ", no difference" if apart["low"] <= 0 <= apart["high"] else ""
            parts.append(
                f"{name} {apart['difference']:+.4f} [{apart['low']:+.4f}, {apart['high']:+.4f}]{nothing}"
            )
    at = f"at {claim['clicks']} clicks: " if claim.get("clicks") else ""
    return f" ({at}{'; '.join(parts)})" if parts else ""


def latex(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A tabular with rules of booktabs."""
    head, *body = (" & ".join(map(latex_text, cells)) + r" \\" for cells in (heads, *rows))
    lines = "\n".join(body)
    return (
        f"\\begin{{tabular}}{{l{'r' * (len(heads) - 1)}}}\n\\toprule\n{head}\n\\midrule\n{lines}\n"
        "\\bottomrule\n\\end{tabular}\n"
    )
