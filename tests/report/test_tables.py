from collections.abc import Callable

from atal_ray.campaign.campaign_folder import START, CampaignFolder
from atal_ray.config import Config
from atal_ray.report.numbers import Failure, read_numbers
from atal_ray.report.tables import (
    MOST_FAILURES,
    Table,
    answers_table,
    failures_table,
    metrics_table,
    throughput_table,
)
from atal_ray.runtime.throughput import THROUGHPUT, Throughput

Make = Callable[..., tuple[CampaignFolder, Config]]


def texts(table: Table) -> list[list[str]]:
    return [[cell.text for cell in row] for row in table.rows]


def widths_agree(table: Table) -> bool:
    return all(len(row) == len(table.columns) for row in table.rows) and sum(
        span for _, span in table.groups
    ) == len(table.columns)


def test_answers(make: Make) -> None:
    table = answers_table(read_numbers(*make()))
    assert widths_agree(table)
    # round 0 asks two points of four images: labels 1 0, 0 0, 0 255, 255 1
    assert texts(table) == [
        ["0", "2", "2", "25.0 %", "50.0 %", "25.0 %", "–", "–", "–", "1"],
        ["1", "3", "1", "25.0 %", "50.0 %", "25.0 %", "25.0 %", "25.0 %", "50.0 %", "1"],
    ]


def test_answers_of_full_masks(make: Make) -> None:
    assert texts(answers_table(read_numbers(*make(rounds=1, labels="dense")))) == [["0", *"––––––––", "0"]]


def test_metrics_mark_the_best_of_each_column(make: Make) -> None:
    numbers = read_numbers(*make())
    table = metrics_table(numbers, "easy")
    assert widths_agree(table)
    for column, (field, better) in enumerate([("max_f", max), ("mae", min), ("s_measure", max)]):
        for offset, member in enumerate(("ensemble", "last")):
            values = [getattr(found.metrics["easy"][member], field) for found in numbers.rounds]
            cells = [row[1 + 2 * column + offset] for row in table.rows]
            assert [cell.text for cell in cells] == [f"{value:.4f}" for value in values]
            assert [cell.best for cell in cells] == [value == better(values) for value in values]


def test_one_round_has_no_best(make: Make) -> None:
    table = metrics_table(read_numbers(*make(rounds=1)), "easy")
    assert not any(cell.best for row in table.rows for cell in row)


def test_throughput_of_each_query(make: Make) -> None:
    campaign, config = make()
    assert throughput_table(read_numbers(campaign, config)).rows == ()
    start = Throughput(actors=1, images=4, elapsed=0.5, seconds={"loading": 0.4, "scoring": 0.1})
    campaign.round(START).write_json(THROUGHPUT, start.to_json())
    asked = Throughput(
        actors=2,
        images=4000,
        elapsed=100,
        seconds={"loading": 40.0, "attack and ensemble": 150.0, "rest": 10.0},
    )
    campaign.round(0).write_json(THROUGHPUT, asked.to_json())
    table = throughput_table(read_numbers(campaign, config))
    assert widths_agree(table)
    assert [name for name, _ in table.groups] == ["", "loading", "scoring", "attack and ensemble", "rest"]
    nothing = ["–", "–"]
    assert texts(table) == [
        ["random start", "4", "8", "1", "20 %", "10", "80.0 %", "40", "20.0 %", *nothing, *nothing],
        ["round 0", "4,000", "40", "2", "80 %", "100", "20.0 %", *nothing, "26.7", "75.0 %", "400", "5.0 %"],
    ]


def test_failures_are_cut(make: Make) -> None:
    failures = [Failure("start", "prepare", f"image-{index}", "torn") for index in range(MOST_FAILURES + 7)]
    rows = texts(failures_table(failures))
    assert len(rows) == MOST_FAILURES
    assert rows[-1] == ["start", "prepare", f"image-{MOST_FAILURES - 1}", "torn"]
