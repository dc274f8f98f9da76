"""The report of a campaign as one HTML file that needs nothing else."""

from functools import cache
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, Template

from atal_ray.campaign.campaign_folder import CampaignFolder
from atal_ray.config import Config, config_file
from atal_ray.report import curves, overlays, tables
from atal_ray.report.facts import facts, notices
from atal_ray.report.gallery_file import top_score
from atal_ray.report.numbers import Numbers, read_numbers
from atal_ray.report.shown_images import read_gallery
from atal_ray.report.spread import spread_chart

REPORT = "report.html"


def write_report(campaign: CampaignFolder, config: Config) -> None:
    """Write report.html in the folder of a campaign, from files alone: those of its committed rounds, and the
    images.

    Images that cannot be read, and maps that are not there, are named in it.

    Raises:
        CampaignError: the manifest is not there yet, or a file of a committed round was changed or lost.
    """
    numbers = read_numbers(campaign, config)
    html = template("page.html.j2").render(
        facts=facts(config, numbers),
        notices=notices(config, numbers),
        **_numbers_of(config, numbers),
        **_pictures_of(campaign, config, numbers),
        configuration=config_file.to_yaml(config),
    )
    campaign.root.write_bytes(REPORT, html.encode())


@cache
def template(name: str) -> Template:
    """A page's template, from the folder of this file or of the sweep's page."""
    loader = ChoiceLoader([PackageLoader("atal_ray", folder) for folder in ("report", "studies/sweep")])
    return Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).get_template(name)


def _numbers_of(config: Config, numbers: Numbers) -> dict[str, Any]:
    """The tables and the charts; a chart is empty where nothing can be drawn."""
    done, tested, asked = bool(numbers.rounds), bool(numbers.test_sets), numbers.points.num_rows > 0
    spread = config.query.scope == "dataset" and len(numbers.rounds) > 1
    failures = numbers.all_failures()
    return {
        "answers": tables.answers_table(numbers),
        "scores": [tables.metrics_table(numbers, name) for name in numbers.test_sets],
        "metric_curves": curves.metric_curves(numbers) if tested and asked else "",
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
    return {
        "gallery": read_gallery(campaign, config, numbers),
        "label_key": {
            overlays.LABEL_NAMES[label]: colour for label, colour in overlays.LABEL_COLOURS.items()
        },
        "region_key": overlays.REGION_COLOURS,
        "prediction_key": overlays.gradient(overlays.SALIENCY_MAP),
        "uncertainty_key": overlays.gradient(overlays.UNCERTAINTY_MAP),
        "top_score": top_score(config.query),
        "strategy": config.query.strategy,
    }
