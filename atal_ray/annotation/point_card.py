"""The data card of exported points: how they came about, in Markdown."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from atal_ray.annotation.answer_table import NAMES
from atal_ray.annotation.formats import ALL
from atal_ray.annotation.formats.labelled_image import LabelledImages
from atal_ray.annotation.formats.point_format import OPEN
from atal_ray.config import Config
from atal_ray.errors import counted


def card(
    images: LabelledImages,
    config: Config,
    formats: Sequence[str],
    what: str,
    license_name: str,
    said: Sequence[dict[str, Any]] = (),
) -> str:
    """The text of README.md, which begins with the fields that Hugging Face reads.

    Args:
        images: that were exported, with their points.
        config: of their campaign.
        formats: that were written.
        what: points or questions.
        license_name: may be empty.
        said: what is noted of the people of each round who answered on the page.
    """
    pictures, labels, rounds, sources = 0, Counter[int](), Counter[int](), Counter[str]()
    for image in images:
        pictures += 1
        labels.update(image.labels.tolist())
        rounds.update(image.points["round"].to_pylist())
        sources.update(image.points["source"].to_pylist())
    total = labels.total()
    lines = [
        "---",
        *([f"license: {license_name}"] if license_name else []),
        "task_categories: [image-segmentation]",
        "tags: [salient-object-detection, point-supervision, active-learning]",
        "---",
        "",
        f"# {what.capitalize()} of {counted(pictures, 'image')}",
        "",
        f"{counted(total, what.removesuffix('s'))}, {total / max(1, pictures):.4g} an image. A point is a "
        "pixel of the original image as stored, column x and row y from 0, and a label: 1 foreground, 0 "
        "background, 255 unsure.",
        "",
        "| | |",
        "|---|---|",
        *_rows(config, labels, rounds, sources),
        *_people(said),
        f"| licence | {license_name or 'not given'} |",
        "",
        "| folder | what it keeps of a point |",
        "|---|---|",
        *(f"| `{name}/` | {ALL[name].keeps} |" for name in formats),
    ]
    return "\n".join(lines) + "\n"


def _rows(config: Config, labels: Counter[int], rounds: Counter[int], sources: Counter[str]) -> Iterable[str]:
    if OPEN not in sources:
        known = [(word, labels[label]) for label, word in NAMES.items() if labels[label]]
        yield f"| labels | {', '.join(f'{count:,} {word}' for word, count in known)} |"
        yield f"| who answered | {', '.join(f'{name}: {sources[name]:,}' for name in sorted(sources))} |"
    yield f"| points by round | {', '.join(f'{number}: {rounds[number]:,}' for number in sorted(rounds))} |"
    if config.asks:
        yield f"| chosen by | {config.query.method}, from {config.budget.start_strategy} points of round 0 |"
        yield f"| network | {config.network.name}, images at {config.train.size} px |"
    yield f"| superpixels | {config.regions.superpixels} by {config.regions.method} |"


def _people(said: Sequence[dict[str, Any]]) -> Iterable[str]:
    """What people did on the page, without their names."""
    names = {who for one in said for who in one["people"]}
    each = [of for one in said for of in one["people"].values()]
    if not each:
        return
    answers = sum(of["answers"] for of in each)
    yield f"| people | {counted(len(names), 'person', 'people')}, {counted(answers, 'answer')} on the page |"
    kappas = [of["kappa"] for of in each if of["kappa"] is not None]
    if kappas:
        yield f"| agreement | Cohen's kappa {min(kappas):.2f} to {max(kappas):.2f} by person and round |"
    controls = sum(of["controls"] for of in each)
    if controls:
        yield f"| control points | {sum(of['right'] for of in each):,} of {controls:,} right |"
