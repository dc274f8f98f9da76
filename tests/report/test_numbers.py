from collections import Counter
from collections.abc import Callable

import pyarrow as pa

from atal_ray.campaign.campaign_folder import ERRORS, POINTS, START, CampaignFolder
from atal_ray.config import Config
from atal_ray.report.numbers import read_numbers

Make = Callable[..., tuple[CampaignFolder, Config]]


def test_reads_what_the_rounds_left(make: Make) -> None:
    campaign, config = make()
    numbers = read_numbers(campaign, config)
    assert [found.number for found in numbers.rounds] == [0, 1]
    assert [numbers.clicks(number) for number in range(2)] == [2, 3]
    assert numbers.points == 12
    assert numbers.rounds[0].regions == Counter()
    assert numbers.rounds[1].regions == Counter(PSR=2, SR=1, PIR=1)
    assert numbers.test_sets == ["easy"]
    assert set(numbers.rounds[0].metrics["easy"]) == {"ensemble", "last"}
    assert len(numbers.rounds[1].epochs) == 4


def test_collects_failures_of_every_stage(make: Make) -> None:
    campaign, config = make()
    for folder, stage in ((campaign.root, "prepare"), (campaign.round(START), "query")):
        folder.write_table(
            ERRORS,
            pa.table({"stage": [stage], "image_id": ["torn"], "reason": ["torn.jpg cannot be decoded"]}),
        )
    failures = read_numbers(campaign, config).all_failures()
    assert [(failure.when, failure.stage, failure.image_id) for failure in failures] == [
        ("preparation", "prepare", "torn"),
        ("random start", "query", "torn"),
        ("round 0", "query", "scene-0001"),
        ("round 1", "evaluation on easy", "lost"),
    ]


def test_stops_at_the_first_round_that_is_not_committed(make: Make) -> None:
    campaign, config = make(rounds=1)
    campaign.round(1).write_table(POINTS, campaign.round(0).read_table(POINTS))  # annotated, but not trained
    assert len(read_numbers(campaign, config).rounds) == 1


def test_a_round_without_points(make: Make) -> None:
    numbers = read_numbers(*make(rounds=1, labels="dense"))
    assert numbers.points == 0
    assert numbers.clicks(0) == 0
