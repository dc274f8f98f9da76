"""Other campaigns are drawn and listed beside this one, and what makes them hard to compare is said."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from atal_ray import cli
from atal_ray.campaign.campaign_folder import CampaignFolder
from atal_ray.config import Config, ReportConfig, config_file
from atal_ray.config.config_file import CONFIG
from atal_ray.errors import CampaignError
from atal_ray.report import curves
from atal_ray.report.compared import differences, read_compared
from atal_ray.report.numbers import read_numbers
from atal_ray.report.page import REPORT, write_report
from atal_ray.report.tables import compared_table

Make = Callable[..., tuple[CampaignFolder, Config]]


def copy_as(campaign: CampaignFolder, name: str, config: Config) -> str:
    """The folder of a copy of the campaign that says it is another one."""
    folder = Path(campaign.root.uri).parent / name
    shutil.copytree(campaign.root.uri, folder)
    (folder / CONFIG).write_text(config_file.to_yaml(config))
    return str(folder)


@pytest.fixture
def others(make: Make) -> tuple[CampaignFolder, Config, list[str]]:
    """A campaign, and copies of it that were of random points and of full masks."""
    campaign, config = make()
    random = replace(config, query=replace(config.query, strategy="random"))
    dense = replace(config, regions=replace(config.regions, labels="dense"))
    return campaign, config, [copy_as(campaign, "chance", random), copy_as(campaign, "whole", dense)]


def test_lines_of_random_points_and_of_full_masks(
    others: tuple[CampaignFolder, Config, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign, config, folders = others
    figure = Figure()
    monkeypatch.setattr(curves, "chart", lambda draw, **size: draw(figure))
    numbers = read_numbers(campaign, config)
    curves.metric_curves(numbers, read_compared(folders))
    ours, theirs = numbers.rounds[-1].metrics["easy"], numbers.rounds[0].metrics["easy"]
    lines = {str(line.get_label()): list(line.get_ydata()) for line in figure.axes[0].get_lines()}
    assert list(lines) == [
        "easy, ensemble",
        "easy, last",
        "easy, chance (random points)",
        "easy, whole (full masks)",
    ]
    assert lines["easy, chance (random points)"] == [theirs["ensemble"].max_f, ours["ensemble"].max_f]
    assert lines["easy, whole (full masks)"] == [theirs["ensemble"].max_f] * 2  # dense is one round


def test_a_table_with_the_share_of_full_masks(others: tuple[CampaignFolder, Config, list[str]]) -> None:
    campaign, config, folders = others
    numbers = read_numbers(campaign, config)
    rows = [
        [cell.text for cell in row] for row in compared_table(numbers, read_compared(folders), "easy").rows
    ]
    assert [row[:2] for row in rows] == [
        ["this campaign", "3"],
        ["chance (random points)", "3"],
        ["whole (full masks)", "–"],
    ]
    first, last = (found.metrics["easy"]["ensemble"].max_f for found in numbers.rounds)
    assert [row[-1] for row in rows] == [f"{100 * last / first:.1f} %"] * 2 + ["100.0 %"]


@pytest.mark.usefixtures("quick")
def test_the_page_names_them_and_what_differs(others: tuple[CampaignFolder, Config, list[str]]) -> None:
    campaign, config, folders = others
    smaller = replace(config, train=replace(config.train, size=96, scales=(96,)))
    folders.append(copy_as(campaign, "large", smaller))
    shown = replace(config, report=ReportConfig(compare=(*folders, f"{campaign.root.uri}-gone")))
    write_report(campaign, shown)
    page = campaign.root.read_bytes(REPORT).decode()
    for words in (
        "Beside other campaigns",
        "chance (random points)",
        "whole (full masks)",
        "large has train.size 96, this campaign 64.",
        "Not compared: ",
        "campaign-gone is no campaign",
    ):
        assert words in page


def test_differences_of_images_and_test_sets(others: tuple[CampaignFolder, Config, list[str]]) -> None:
    campaign, config, folders = others
    numbers = read_numbers(campaign, config)
    (other,) = read_compared(folders[:1])
    assert differences(config, numbers, other) == []
    fewer = replace(
        other, numbers=replace(other.numbers, images=2, rounds=(replace(numbers.rounds[0], metrics={}),))
    )
    assert differences(config, numbers, fewer) == [
        "chance was trained on 2 images, this campaign on 4.",
        "chance was not evaluated on easy.",
    ]


def test_what_cannot_be_compared_ends_the_command(make: Make, tmp_path: Path) -> None:
    campaign, config = make()
    (tmp_path / "campaign" / CONFIG).write_text(config_file.to_yaml(config))
    with pytest.raises(CampaignError, match="nowhere is no campaign"):
        cli.report(campaign.root.uri, (str(tmp_path / "nowhere"),))
    young = tmp_path / "young"
    young.mkdir()
    (young / CONFIG).write_text(config_file.to_yaml(config))
    with pytest.raises(CampaignError, match="young has no finished round to compare with"):
        cli.report(campaign.root.uri, (str(young),))


@pytest.mark.usefixtures("quick")
def test_the_command_line_compares(others: tuple[CampaignFolder, Config, list[str]], monkeypatch) -> None:
    campaign, config, folders = others
    (Path(campaign.root.uri) / CONFIG).write_text(config_file.to_yaml(config))
    monkeypatch.setattr("sys.argv", ["atal", "report", campaign.root.uri, "--compare", *folders])
    with pytest.raises(SystemExit, match="0"):
        cli.main()
    assert "whole (full masks)" in campaign.root.read_bytes(REPORT).decode()
