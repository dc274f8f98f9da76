import re
from collections import Counter
from itertools import product
from pathlib import Path

import pytest

from atal_ray.evaluation import published

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
PAPER = SHARED / "paper" / "atal_aaai2023.txt"
SETS = ("DUT-OMRON", "DUTS-TE", "ECSSD", "HKU-IS", "PASCAL-S")


def test_every_set_metric_and_method_has_one_cell() -> None:
    cells = published.load()
    keys = [(cell.test_set, cell.metric, cell.method) for cell in cells]
    assert keys == list(product(SETS, published.COUNTERPARTS, published.methods()))
    assert len(keys) == 5 * 6 * 16
    assert Counter(cell.group for cell in cells) == {"full": 5 * 6 * 8, "weak": 5 * 6 * 5, "ours": 5 * 6 * 3}
    assert all(0 < cell.value < 1 for cell in cells)


def test_a_value_is_what_is_printed_unless_it_is_suspect() -> None:
    for cell in published.load():
        assert (cell.value == float(cell.printed)) != cell.suspect
        assert bool(cell.note) == cell.suspect
    assert [(cell.method, cell.printed, cell.value) for cell in published.load() if cell.suspect] == [
        ("MINet*10", ".6130", 0.0613),
        ("BAS", "8893", 0.8893),
    ]


@pytest.mark.parametrize(
    ("test_set", "metric", "method", "value"),
    [
        ("DUT-OMRON", "maxF", "DGRL", 0.7742),
        ("DUTS-TE", "S-m", "PFSN*10", 0.8741),
        ("ECSSD", "MAE", "F3Net", 0.0333),
        ("HKU-IS", "E-m", "F3Net*10", 0.9445),
        ("PASCAL-S", "avgF", "MWS", 0.7566),
        ("PASCAL-S", "W-F", "FCS", 0.7704),
    ],
)
def test_cells_are_those_of_the_paper(test_set: str, metric: str, method: str, value: float) -> None:
    cell = published.lookup(test_set, metric, method)
    assert cell is not None
    assert cell.value == value


def test_there_is_no_cell_for_what_the_paper_did_not_print() -> None:
    assert published.lookup("SOD", "maxF", "F3Net") is None
    assert published.lookup("ECSSD", "maxF", "f3net-small") is None


@pytest.mark.skipif(not PAPER.exists(), reason="needs ../shared")
def test_the_whole_table_is_in_the_text_of_the_paper() -> None:
    row = re.compile(rf"({'|'.join(published.COUNTERPARTS)})[↑↓]((?: \.?\d{{4}}){{16}})$")
    found = [match for line in PAPER.read_text(encoding="utf-8").splitlines() if (match := row.search(line))]
    assert len(found) == 30
    texts = [(match[1], text) for match in found for text in match[2].split()]
    assert texts == [(cell.metric, cell.printed) for cell in published.load()]


def test_metrics_are_compared_with_their_likeliest_counterpart() -> None:
    assert published.printed_as("max_f") == "maxF"
    assert published.printed_as("f_of_mean_pr") == "avgF"
    assert published.printed_as("f_mean") is None
    assert published.meaning("avgF").startswith(
        "avgF of the paper is compared with f_of_mean_pr or f_mean (unresolved): "
    )
