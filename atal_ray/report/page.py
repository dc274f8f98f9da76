"""The report of a campaign as one HTML file that needs nothing else."""

from functools import cache
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, Template
from pyarrow.fs import FileType

from atal_ray.acquisition.names import Names
from atal_ray.campaign.campaign_folder import CampaignFolder
from atal_ray.config import Config, config_file
from atal_ray.errors import AtalError, DataError, command
from atal_ray.report import curves, overlays, tables
from atal_ray.report.compared import Compared, differences, read_compared
from atal_ray.report.delivered_figures import delivered_in
from atal_ray.report.facts import Notice, facts, notices
from atal_ray.report.gallery_file import shown_records
from atal_ray.report.numbers import Numbers, read_numbers
from atal_ray.report.people import more_of, read_people
from atal_ray.report.shown_images import read_gallery
from atal_ray.report.shown_tests import read_test_images
from atal_ray.report.spread import spread_chart

REPORT = "report.html"


def write_report(campaign: CampaignFolder, config: Config) -> None:
    """Write report.html in the folder of a campaign, from files alone: those of its committed rounds, and the
    images.

    Images that cannot be read, and maps that are not there, are named in it; but a report that is there is
    not replaced by one without its images.

    Raises:
        DataError: there is a report, and an image or mask that it shows is missing or another one now.
        CampaignError: the manifest is not there yet, or a file of a committed round was changed or lost.
    """
    if campaign.root.exists(REPORT):
        _require_shown(campaign, config)
    numbers = read_numbers(campaign, config)
    compared, problems = _compared(config, numbers)
    html = template("page.html.j2").render(
        name=campaign.root.name,
        facts={"Folder": campaign.root.uri, **facts(config, numbers)},
        delivered=delivered_in(campaign.root),
        notices=[*notices(config, numbers), *problems],
        **_numbers_of(config, numbers, compared),
        **_pictures_of(campaign, config, numbers),
        configuration=config_file.to_yaml(config),
    )
    campaign.root.write_bytes(REPORT, html.encode())


def _require_shown(campaign: CampaignFolder, config: Config) -> None:
    """Refuse to replace a report where an image that it shows is not as it was."""
    folder, report = campaign.training_data(config), campaign.root.where(REPORT)
    if folder.kind() != FileType.Directory:
        moved = command("resume", campaign.root.uri, "--data.train", "NEW_PLACE")
        raise DataError(
            f"{folder} is not there, and {report} shows images of it: it was left as it is. "
            f"If they were moved, say where to: {moved}"
        )
    try:
        for record in shown_records(campaign.chunks(), folder):
            record.read_image()
            if record.mask is not None:
                record.read_mask()
    except DataError as error:
        raise DataError(
            f"{error}. {report} shows it and was left as it is; remove it to have one without this image"
        ) from error


@cache
def template(name: str) -> Template:
    """A page's template, from the folder of this file, of the sweep or of the studies."""
    loader = ChoiceLoader(
        [PackageLoader("atal_ray", folder) for folder in ("report", "studies/sweep", "studies/paper")]
    )
    return Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).get_template(name)


def _compared(config: Config, numbers: Numbers) -> tuple[tuple[Compared, ...], list[Notice]]:
    """The other campaigns, and what a reader must know of them; a finished one does not fail for want of
    another.
    """
    found: list[Compared] = []
    told: list[Notice] = []
    for folder in config.report.compare:
        try:
            found += read_compared([folder])
        except AtalError as error:
            told.append(Notice("warning", f"Not compared: {error}"))
    if numbers.rounds:
        told += [Notice("note", text) for other in found for text in differences(config, numbers, other)]
    return tuple(found), told


def _numbers_of(config: Config, numbers: Numbers, compared: tuple[Compared, ...]) -> dict[str, Any]:
    """The tables and the charts; a chart is empty where nothing can be drawn."""
    done, tested, asked = bool(numbers.rounds), bool(numbers.test_sets), numbers.points > 0
    spread = config.query.scope == "dataset" and len(numbers.rounds) > 1
    failures, costs = numbers.all_failures(), tables.cost_table(numbers)
    return {
        "answers": tables.answers_table(numbers),
        "scores": [tables.metrics_table(numbers, name) for name in numbers.test_sets],
        "all_metrics": [tables.all_metrics_table(numbers, name) for name in numbers.test_sets],
        "beside": [tables.compared_table(numbers, compared, name) for name in numbers.test_sets if compared],
        "metric_curves": curves.metric_curves(numbers, compared) if tested and asked else "",
        "cost_curves": curves.cost_curves(numbers, compared) if tested and costs.rows else "",
        "costs": costs,
        "pr_curves": curves.pr_curves(numbers) if tested else "",
        "training_curves": curves.training_curves(numbers, config.train) if done else "",
        "positions_chart": curves.positions_chart(numbers) if asked else "",
        "spread_chart": spread_chart(numbers) if spread else "",
        "throughput": tables.throughput_table(numbers),
        "failures": tables.failures_table(failures),
        "more_failures": max(0, len(failures) - tables.MOST_FAILURES),
        "done": len(numbers.rounds),
    }


def _pictures_of(campaign: CampaignFolder, config: Config, numbers: Numbers) -> dict[str, Any]:
    """The gallery and the keys to its colours."""
    names = Names.of(config.query)
    people = read_people(campaign, config, len(numbers.rounds))
    return {
        "people": people,
        "more_disagreements": more_of(people),
        "gallery": read_gallery(campaign, config, numbers),
        "tests": read_test_images(campaign, config, numbers),
        "label_key": {
            overlays.LABEL_NAMES[label]: colour for label, colour in overlays.LABEL_COLOURS.items()
        },
        "region_key": overlays.REGION_COLOURS,
        "prediction_key": overlays.gradient(overlays.SALIENCY_MAP),
        "uncertainty_key": overlays.gradient(overlays.UNCERTAINTY_MAP),
        "top_score": "the image's largest" if names.top_score is None else f"{names.top_score:g}",
        "scored": names.score is not None,
    }
