"""A table of scores as text: Markdown, LaTeX or CSV."""

import csv
import io
import re
from collections.abc import Callable, Iterable

from atal_ray.evaluation.score_table import DAGGER, DIGITS, Score, ScoreRow, ScoreTable

NOTHING = "–"

_LATEX = {
    **{char: f"\\{char}" for char in "{}$&#%_"},
    **{
        char: f"{{{char}}}" for char in "[]*"
    },  # brackets and stars after the end of a line would be its options
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    DAGGER: r"$^\dagger$",
}


def to_markdown(table: ScoreTable) -> str:
    """The table with the best of each row in bold and the second best in italics, and its notes below."""
    lines = [
        markdown_row(["set", "metric", *map(markdown_text, table.methods)]),
        markdown_row(["---", "---", *["---:"] * len(table.methods)]),
    ]
    marks = {0: "{}", 1: "**{}**", 2: "_{}_"}
    for row, first in _with_first(table.rows):
        cells = [_cell(row, score, marks, DAGGER, lambda text: text) for score in row.cells]
        lines.append(
            markdown_row(
                [markdown_text(row.test_set) if first else "", _label(row, "↑", "↓", markdown_text), *cells]
            )
        )
    for note in table.notes:
        lines += ["", markdown_text(note)]
    return "\n".join(lines) + "\n"


def to_latex(table: ScoreTable) -> str:
    """A booktabs tabular with the best of each row in bold, the second best underlined, and notes below."""
    columns = len(table.methods)
    lines = [
        r"% needs \usepackage{booktabs}",
        rf"\begin{{tabular}}{{ll*{{{columns}}}{{c}}}}",
        r"\toprule",
        _latex_row(["", "", *map(latex_text, table.methods)]),
    ]
    marks = {0: "{}", 1: r"\textbf{{{}}}", 2: r"\underline{{{}}}"}
    for row, first in _with_first(table.rows):
        if first:
            lines.append(r"\midrule")
        cells = [_cell(row, score, marks, _LATEX[DAGGER], latex_text) for score in row.cells]
        lines.append(
            _latex_row(
                [
                    latex_text(row.test_set) if first else "",
                    _label(row, r"$\uparrow$", r"$\downarrow$", latex_text),
                    *cells,
                ]
            )
        )
    lines += [r"\bottomrule", r"\end{tabular}", ""]
    lines += [rf"\par\noindent{{\footnotesize {latex_text(note)}\par}}" for note in table.notes]
    return "\n".join(lines) + "\n"


def to_csv(table: ScoreTable) -> str:
    """Full precision without marks; columns set, metric, source (measured, share, paper), methods, note.

    A missing cell is empty. Notes that are not about one row are left out.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["set", "metric", "source", *table.methods, "note"])
    for row in table.rows:
        values = ["" if score.value is None else repr(float(score.value)) for score in row.cells]
        writer.writerow([row.test_set, row.metric, row.source, *values, row.note])
    return buffer.getvalue()


def _with_first(rows: Iterable[ScoreRow]) -> Iterable[tuple[ScoreRow, bool]]:
    """Each row, and whether a test set begins with it."""
    last = None
    for row in rows:
        yield row, row.test_set != last
        last = row.test_set


def _label(row: ScoreRow, up: str, down: str, escape: Callable[[str], str]) -> str:
    if row.source == "share":
        return escape(row.label)
    return f"{escape(row.label)} {up if row.higher_is_better else down}"


def _cell(
    row: ScoreRow, score: Score, marks: dict[int, str], dagger: str, escape: Callable[[str], str]
) -> str:
    if score.value is None:
        return escape(NOTHING)
    text = escape(f"{score.value:.1%}") if row.source == "share" else f"{score.value:.{DIGITS}f}"
    return marks[score.place].format(text) + (dagger if score.misprint else "")


def markdown_text(text: str) -> str:
    """Escape every character that Markdown reads as markup; a line break would end the row."""
    return re.sub(r"([\\`*_{}\[\]<>|~&$])", r"\\\1", " ".join(text.split()))


def markdown_row(cells: Iterable[str]) -> str:
    """One row of a table; the cells are markup already."""
    return f"| {' | '.join(cells)} |"


def latex_text(text: str) -> str:
    """Every character that LaTeX could read as a command stands for itself; an empty line or two hyphens
    would too.
    """
    escaped = "".join(_LATEX.get(char, char) for char in " ".join(text.split()))
    return re.sub("-(?=-)", "-{}", escaped).replace(NOTHING, "--")


def _latex_row(cells: Iterable[str]) -> str:
    return rf"{' & '.join(cells)} \\"
