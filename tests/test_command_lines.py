"""Every command that a page shows is one that the program reads."""

import pytest
from command_lines import JOBS, ROOT, arguments, in_page, parse

from atal_ray.campaign.generate import Generation
from atal_ray.config import Config
from atal_ray.errors import ConfigError

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "cluster").glob("*.md"))]
SHOWN = [
    (page.name if page.parent == ROOT else f"{page.parent.name}/{page.name}", line)
    for page in PAGES
    for line in in_page(page.read_text())
]


@pytest.mark.parametrize(("page", "command"), SHOWN)
def test_a_page_shows_what_works(page: str, command: str) -> None:
    parse(command)


def test_pages_are_read() -> None:
    assert len(SHOWN) > 20
    assert {"README.md", "cluster/README.md", "docs/campaign.md"} <= {page for page, _ in SHOWN}


@pytest.mark.parametrize("script", JOBS)
def test_a_job_says_how_it_is_submitted(script: str) -> None:
    (command,) = in_page(
        "    " + (ROOT / "jobs" / script).read_text().partition("\n\n")[2].partition('"""')[0]
    )
    parse(command)


def test_what_is_found_in_a_page() -> None:
    job = "       ray job submit -- \\\n           python jobs/run.py demo F --seed 1   # a job\n"
    page = f"`atal resume FOLDER`, `atal run` or\n\n{job}\n    atal config demo > my.yaml\n"
    assert in_page(page) == [
        "python jobs/run.py demo F --seed 1",
        "atal config demo > my.yaml",
        "atal resume FOLDER",
    ]
    assert arguments("atal config demo > my.yaml") == ["config", "demo"]


def test_what_is_read() -> None:
    config = parse(
        "python /opt/atal_ray/jobs/run.py paper s3://bucket/runs/first --data.train s3://bucket/images "
        "--train.workers 4 --log-level warning"
    )
    assert isinstance(config, Config)
    assert (config.data.train, config.train.workers) == ("s3://bucket/images", 4)
    assert isinstance(parse("atal generate runs/mine runs/points --images FOLDER --points 3"), Generation)
    assert parse("atal run paper --help") is None


@pytest.mark.parametrize(
    "command",
    [
        "atal run paper F --train.wokers 4",
        "atal rum paper F",
        "python jobs/run.py papier F",
        "atal evaluate F --mask S",
        "atal run paper F --log-level",
    ],
)
def test_a_slip_is_noticed(command: str) -> None:
    with pytest.raises((SystemExit, ConfigError), match=r"refused|papier|did you mean run"):
        parse(command)


def test_a_job_that_is_not_there_is_noticed() -> None:
    with pytest.raises(AssertionError, match=r"no jobs/walk\.py"):
        parse("python jobs/walk.py paper F")
