import csv
import io

from atal_ray.evaluation.score_formats import to_csv, to_latex, to_markdown
from atal_ray.evaluation.score_table import Score, ScoreRow, ScoreTable

TABLE = ScoreTable(
    methods=("F3Net*10", "a|b_c"),
    rows=(
        ScoreRow("DUT & Co", "max_f", "maxF", "measured", (Score(0.91234567, 1), Score(0.8, 2))),
        ScoreRow("DUT & Co", "max_f", "maxF / a|b_c", "share", (Score(1.1404), Score(None))),
        ScoreRow("[x]", "mae", "MAE", "measured", (Score(0.1, 2), Score(0.05, 1)), higher_is_better=False),
        ScoreRow(
            "[x]", "MAE", "MAE, paper", "paper", (Score(0.0613, 0, True), Score(None)), False, "printed .6130"
        ),
    ),
    notes=("Images: 10_000.", "† 5 % -- or less."),
)


def test_markdown() -> None:
    assert to_markdown(TABLE).splitlines() == [
        r"| set | metric | F3Net\*10 | a\|b\_c |",
        "| --- | --- | ---: | ---: |",
        r"| DUT \& Co | maxF ↑ | **0.9123** | _0.8000_ |",
        r"|  | maxF / a\|b\_c | 114.0% | – |",
        r"| \[x\] | MAE ↓ | _0.1000_ | **0.0500** |",
        "|  | MAE, paper ↓ | 0.0613† | – |",
        "",
        r"Images: 10\_000.",
        "",
        "† 5 % -- or less.",
    ]


def test_latex() -> None:
    assert to_latex(TABLE).splitlines() == [
        r"% needs \usepackage{booktabs}",
        r"\begin{tabular}{ll*{2}{c}}",
        r"\toprule",
        r" &  & F3Net{*}10 & a\textbar{}b\_c \\",
        r"\midrule",
        r"DUT \& Co & maxF $\uparrow$ & \textbf{0.9123} & \underline{0.8000} \\",
        r" & maxF / a\textbar{}b\_c & 114.0\% & -- \\",
        r"\midrule",
        r"{[}x{]} & MAE $\downarrow$ & \underline{0.1000} & \textbf{0.0500} \\",
        r" & MAE, paper $\downarrow$ & 0.0613$^\dagger$ & -- \\",
        r"\bottomrule",
        r"\end{tabular}",
        "",
        r"\par\noindent{\footnotesize Images: 10\_000.\par}",
        r"\par\noindent{\footnotesize $^\dagger$ 5 \% -{}- or less.\par}",
    ]


def test_csv_reads_back_with_every_digit() -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(TABLE))))
    assert rows[0] == {
        "set": "DUT & Co",
        "metric": "max_f",
        "source": "measured",
        "F3Net*10": "0.91234567",
        "a|b_c": "0.8",
        "note": "",
    }
    assert [row["source"] for row in rows] == ["measured", "share", "measured", "paper"]
    assert rows[3]["a|b_c"] == ""
    assert rows[3]["note"] == "printed .6130"


def test_names_cannot_break_out_of_a_cell() -> None:
    name = "\\ ^~<{}>$#%\n\n`"
    table = ScoreTable((name,), (ScoreRow("a", "mae", "MAE", "measured", (Score(0.1),)),), ())
    assert to_markdown(table).splitlines()[0] == r"| set | metric | \\ ^\~\<\{\}\>\$#% \` |"
    latex = r"\textbackslash{} \textasciicircum{}\textasciitilde{}\textless{}\{\}\textgreater{}\$\#\% `"
    assert to_latex(table).splitlines()[3] == rf" &  & {latex} \\"
