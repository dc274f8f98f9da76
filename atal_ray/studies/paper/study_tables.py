"""The tables of a study as Markdown, LaTeX and JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from atal_ray.evaluation.score_formats import latex_text, markdown_row, markdown_text, to_latex, to_markdown
from atal_ray.store.folder import Folder
from atal_ray.studies.paper.results import StudyResult

SHOWN = {"max_f": "maxF", "s_measure": "S", "mae": "MAE"}
PUBLISHED = ("paper: DUT-OMRON maxF", "S", "DUTS-TE maxF", "S")
NOTHING = "–"
LAYOUT = "All metrics that the paper prints"


@dataclass(frozen=True)
class TextTable:
    """A table as text, before any markup."""

    title: str
    heads: list[str]
    rows: list[list[str]]


def write_tables(root: Folder, result: StudyResult, facts: Mapping[str, str]) -> None:
    """Write NAME.json, NAME.md and NAME.tex.

    Args:
        root: folder of the studies.
        result: of one of them.
        facts: what everything was made with.
    """
    found, layout = {**result.found, "facts": dict(facts)}, result.layout
    name, tables = found["study"], tables_of(found)
    root.write_json(f"{name}.json", found)
    lines = [f"# {found['title']}"]
    for table in tables:
        lines += ["", *([f"## {markdown_text(table.title)}", ""] if table.title != found["title"] else [])]
        lines += [markdown_row(map(markdown_text, table.heads)), markdown_row(["---"] * len(table.heads))]
        lines += [markdown_row(map(markdown_text, row)) for row in table.rows]
    if layout is not None:
        lines += ["", f"## {layout_title(found)}", "", to_markdown(layout)]
    lines += ["", *(f"- {markdown_text(sentence)}" for sentence in sentences_of(found))]
    lines += ["", *(f"- {name}: {markdown_text(value)}" for name, value in facts.items())]
    root.write_bytes(f"{name}.md", ("\n".join(lines) + "\n").encode())
    tabulars = [f"% {table.title}\n{latex(table.heads, table.rows)}" for table in tables]
    tabulars += [f"% {layout_title(found)}\n{to_latex(layout)}"] if layout is not None else []
    made_with = "".join(f"% {key}: {' '.join(value.split())}\n" for key, value in facts.items())
    root.write_bytes(f"{name}.tex", (made_with + "\n".join(tabulars)).encode())


def layout_title(found: Mapping[str, Any]) -> str:
    """The title of the paper's layout: arms are means over the seeds that all of them have."""
    return f"{LAYOUT}; seeds {', '.join(map(str, found['layout_seeds'])) or 'none'}"


def tables_of(found: Mapping[str, Any]) -> list[TextTable]:
    """The tables of a study: its arms with their figures and costs, then shares of points and networks that
    are crossed.
    """
    main = TextTable(found["title"], heads_of(found), [_row(found, row) for row in found["rows"]])
    return [main, *(_crossed(name, cells) for name, cells in found.get("cross", {}).items())]


def _crossed(test_set: str, cells: Mapping[str, Mapping[str, Any]]) -> TextTable:
    """A row for whose points, a column for the network that was trained on them."""
    names = list(cells)
    rows = [[points, *(_share(cells[points][name]) for name in names)] for points in names]
    return TextTable(f"Share of its own full supervision on {test_set}", ["points of", *names], rows)


def _share(cell: Mapping[str, Any]) -> str:
    """A share with its range over seeds, and what the paper prints."""
    of = cell["of_full"]
    text = NOTHING if of is None else f"{of['mean']:.1%}"
    if of is not None and of["low"] != of["high"]:
        text += f" ({of['low']:.1%} to {of['high']:.1%})"
    return text + (f", paper {cell['paper']:.1%}" if cell["paper"] else "")


def heads_of(found: Mapping[str, Any]) -> list[str]:
    """The headings of a study's table."""
    heads = ["arm", "clicks", "labels", "seeds", "training passes", "query passes", "device s"]
    heads += [f"{name} {label}" for name in found["sets"] for label in SHOWN.values()]
    return [*heads, *found["measures"], *(PUBLISHED if found["published"] else ())]


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
    for of_arms in found["measures"].values():
        cells.append(spread_text(of_arms[row["arm"]]) if row["arm"] in of_arms else NOTHING)
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
    if all(claim.get("of_arms", [[]])):
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
