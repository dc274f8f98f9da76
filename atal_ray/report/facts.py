"""The head of the report: what was run, with what, and what a reader must know before the numbers."""

from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Literal

from atal_ray.acquisition.names import Names
from atal_ray.config import Config, QueryConfig
from atal_ray.errors import counted
from atal_ray.report.numbers import Numbers


@dataclass(frozen=True)
class Notice:
    """A sentence at the top of the report."""

    level: Literal["warning", "note"]
    text: str


def facts(config: Config, numbers: Numbers) -> dict[str, str]:
    """Name and value of each key fact."""
    plan, query = config.train, config.query
    images, done = numbers.images, len(numbers.rounds)
    points = f"{numbers.clicks(done - 1):.4g}" if config.regions.labels != "dense" and done else "none"
    if config.asks and done:
        points += f" of {config.budget.total}"
    return {
        "Images": f"{images:,}",
        "Rounds": f"{done} of {config.rounds}",
        "Points an image": points,
        "Test sets": ", ".join(numbers.test_sets) or "none",
        "Labels": f"{config.regions.labels}, from {config.data.points or config.budget.annotator}",
        "Network": config.network.name,
        "Training": f"L = {plan.cycles} {_ENSEMBLE[plan.ensemble]}, {plan.epochs} epochs a round, batches of "
        f"{plan.batch_size}, {plan.schedule}",
        "Query": f"{_query(query)}, {plan.size} px",
        "Seed": str(config.seed),
        "Written": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "Versions": ", ".join(f"{name} {version(package)}" for name, package in _PACKAGES.items()),
    }


def _query(query: QueryConfig) -> str:
    """The method with the settings that count."""
    names = Names.of(query)
    parts = [f"{query.method}{_SCOPE[query.scope]}", *filter(None, (names.score, names.strategy))]
    if names.strategy == "rds":
        parts[-1:] = [f"K = {query.top_percent:g} %, {query.cover} by {query.cover_space}"]
    return ", ".join(parts)


_ENSEMBLE = {"trajectory": "cycles", "networks": "networks, a cycle each"}
_SCOPE = {"image": "", "dataset": " over all images"}
_PACKAGES = {"atal_ray": "atal-ray", "torch": "torch", "ray": "ray"}


def notices(config: Config, numbers: Numbers) -> list[Notice]:
    """What makes this campaign differ from the method on whole data, the most serious first."""
    return [
        *_label_notices(config),
        *_progress_notices(config, numbers),
        *_data_notices(config, numbers),
    ]


def _label_notices(config: Config) -> list[Notice]:
    found = []
    if config.regions.labels == "oracle_mask":
        text = (
            "Labels leak from the true mask: every clicked superpixel takes its labels from the mask, which "
            "tells more than a click. Do not compare these numbers with those of point labels."
        )
        found.append(Notice("warning", text))
    if config.regions.labels == "dense":
        text = (
            "Trained on full masks (labels: dense): this is the fully supervised reference, not a result of "
            "points."
        )
        found.append(Notice("warning", text))
    if config.regions.labels == "none":
        found.append(
            Notice("note", "A click labels its pixel alone (labels: none); superpixels are not used.")
        )
    if config.data.points is not None:
        found.append(
            Notice("note", f"Trained on the points of {config.data.points}; this campaign asked for none.")
        )
    if config.budget.annotator == "answers" and config.asks:
        found.append(Notice("note", "Points were answered from tables of answers, not read from masks."))
    if config.asks and (chosen := str(Names.of(config.query))) != "atal":
        found.append(Notice("note", f"Points were chosen by {chosen}, not by the paper's method."))
    return found


def _progress_notices(config: Config, numbers: Numbers) -> list[Notice]:
    done = len(numbers.rounds)
    if done == config.rounds:
        return []
    what = f"{done} of {counted(config.rounds, 'round')} {'is' if done == 1 else 'are'}"
    return [
        Notice(
            "warning",
            f"Unfinished: {what} committed, and the report holds nothing else. Run the same command again to "
            "go on.",
        )
    ]


def _data_notices(config: Config, numbers: Numbers) -> list[Notice]:
    found = []
    if not config.data.train:
        found.append(
            Notice(
                "note",
                "Drawn images: without data.train the campaign labels a small synthetic set; its numbers "
                "mean little.",
            )
        )
    if numbers.left_out:
        left = counted(numbers.left_out, "image was left out", "images were left out")
        fields = ", ".join(
            f"data.{name.replace('_', '-')}"
            for name in ("subset", "limit", "test_limit")
            if getattr(config.data, name) is not None
        )
        found.append(Notice("note", f"A part of the data: {left} by {fields or 'the settings'}."))
    if config.network.weights == "random" and config.network.name != "f3net-small":
        found.append(Notice("note", "The backbone started from random weights, not from ImageNet."))
    failed = len(numbers.all_failures())
    if failed:
        found.append(Notice("note", f"{counted(failed, 'error')} on the way, listed under Errors."))
    return found
