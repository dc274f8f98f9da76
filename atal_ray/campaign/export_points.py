"""`atal export points`: the points of a campaign, or its open questions, in formats that other tools read.

    FOLDER/
      export.yaml   what was exported
      FORMAT/       a folder for each format
      README.md     the data card

The card is written last: without it an export was cut short.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import pyarrow as pa
from annotated_types import MinLen

from atal_ray.annotation.answers import are_answered
from atal_ray.annotation.formats import ALL
from atal_ray.annotation.formats.labelled_image import LabelledImage
from atal_ray.annotation.formats.point_format import OPEN, FormatName, FormatSettings
from atal_ray.annotation.point_card import card
from atal_ray.campaign.annotate import answered_late
from atal_ray.campaign.campaign_folder import MANIFEST, POINTS, QUERIES, SAID, CampaignFolder
from atal_ray.campaign.generate import configuration_of
from atal_ray.campaign.life import run_in
from atal_ray.config import Config
from atal_ray.config.bounds import Count, NotNegative, Words
from atal_ray.config.section import Section, require
from atal_ray.data.record import records
from atal_ray.errors import CampaignError, DataError, command, counted
from atal_ray.labels.points import POINT_SCHEMA, QUERY_SCHEMA, UNSURE, concat, in_order
from atal_ray.runtime.progress_bar import tracked
from atal_ray.store.folder import Folder
from atal_ray.store.lease import LOCK
from atal_ray.store.streamed import AscendingRows

logger = logging.getLogger(__name__)

EXPORT_PLAN, CARD = "export.yaml", "README.md"
What = Literal["points", "questions"]


@dataclass(frozen=True, kw_only=True)
class ExportPoints(Section):
    """What is exported of a campaign, and how."""

    may_change = ("campaign",)

    campaign: str = ""
    """Folder of the campaign, or of an `atal generate`."""
    what: What = "points"
    """The labelled points, or the questions that are still open, to answer them in another tool."""
    formats: Annotated[tuple[FormatName, ...], MinLen(1), Words("name at least one format")] = ("parquet",)
    """Which formats are written, each into a folder of its own."""
    rounds: Count | None = None
    """Points of the first rounds alone; unset: all that are there."""
    dilate: NotNegative = 0
    """Radius in pixels of the disc that a point covers in label maps."""
    image_prefix: str = ""
    """What Label Studio finds the images under, such as /data/local-files/?d=photos/; unset: their paths."""
    license: str = ""
    """The licence that the data card names."""

    def check_relations(self) -> None:
        """Raise ConfigError for a format that is read alone, or rounds of questions."""
        read = [name for name in self.formats if not ALL[name].writes]
        require(not read, f"formats holds {', '.join(read)}, which is read and not written: leave it out")
        blind = [name for name in self.formats if not ALL[name].knows_unsure]
        require(
            self.what == "points" or not blind,
            f"formats holds {', '.join(blind)}, which has no place for a point without a label: leave it out "
            "of an export of questions",
        )
        require(
            self.what == "points" or self.rounds is None,
            "rounds chooses points: leave it out of an export of questions",
        )


def export_points(plan: ExportPoints, folder: Path | str) -> Folder:
    """Write the points of a campaign in other formats; files that are there are written again.

    Args:
        plan: what, and how.
        folder: of the result; made if it is not there.

    Raises:
        CampaignError, ConfigError, DataError: what is wrong with the campaign, the plan or an image.
    """
    require(bool(plan.campaign), "campaign is empty: name the folder of the campaign")
    out = Folder.at(folder)
    require(
        out.exists(EXPORT_PLAN) or not set(out.names()) - {LOCK},
        f"{out.uri} holds files that were not made by `atal export points`: name a new folder",
    )
    campaign = CampaignFolder(Folder.at(plan.campaign))
    plan = replace(plan, campaign=campaign.root.uri)
    config = configuration_of(campaign.root)
    numbers = _numbers(campaign, plan)
    unanswered = None if isinstance(numbers, tuple) else _open(campaign, config, numbers)
    images = _Images(campaign, config, numbers, "", unanswered)
    settings = FormatSettings(plan.dilate, plan.image_prefix)
    with run_in(out, plan, EXPORT_PLAN, started=lambda: out.exists(CARD)) as run:
        _look_for_turned(images, plan)
        out.remove(CARD)
        for name in ALL:  # those of an export that was cut short too
            (out / name).delete()
        for name in plan.formats:
            ALL[name](settings).write(replace(images, title=f"writing {name}"), out / name)
            run.lock.check()
        text = card(images, config, plan.formats, plan.what, plan.license, _said(campaign, images.numbers))
        out.write_bytes(CARD, text.encode())
    return out


@dataclass(frozen=True)
class _Images:
    """The images of a campaign that have points, with these; read anew each time, some at a time."""

    campaign: CampaignFolder
    config: Config
    numbers: tuple[int, ...] | int
    """The rounds whose points, or the one whose questions these are: others may come meanwhile."""
    title: str
    open: pa.BooleanArray | None = None
    """Of each question of that round whether it has no answer yet."""

    def __iter__(self) -> Iterator[LabelledImage]:
        found = self._all()
        if self.title:
            total = self.campaign.root.count_rows(MANIFEST)
            found = tracked(found, total, title=self.title, unit="image")
        return (image for image in found if image.points.num_rows)

    def _all(self) -> Iterator[LabelledImage]:
        data = self.campaign.training_data(self.config)
        for images, points in self._rows():
            table = in_order(concat(points))
            ids = table["image_id"].to_pylist()
            start = 0
            for record in records(images, data):
                stop = start
                while stop < len(ids) and ids[stop] == record.image_id:
                    stop += 1
                yield LabelledImage(
                    record.image_id,
                    str(record.image),
                    record.height,
                    record.width,
                    table.slice(start, stop - start),
                )
                start = stop

    def _rows(self) -> Iterator[tuple[pa.Table, list[pa.Table]]]:
        if isinstance(self.numbers, tuple):
            yield from self.campaign.images_with_points(self.numbers)
            return
        reader, start = AscendingRows(self.campaign.round(self.numbers), QUERIES, QUERY_SCHEMA), 0
        for images in self.campaign.chunks():
            rows = reader.up_to(images["image_id"][-1].as_py())
            mask = self.open.slice(start, rows.num_rows) if self.open is not None else None
            start += rows.num_rows
            yield images, [_as_points(rows if mask is None else rows.filter(mask))]


def _numbers(campaign: CampaignFolder, plan: ExportPoints) -> tuple[int, ...] | int:
    """The rounds with points that are exported, or the round whose questions are open."""
    where = campaign.root.uri
    if plan.what == "questions":
        asked = campaign.open_questions()
        if asked is None:
            raise CampaignError(f"{where} has no open questions: there is nothing to export")
        return asked
    there = campaign.rounds_with_points()
    numbers = tuple(range(plan.rounds or there))
    require(len(numbers) <= there, f"rounds is {plan.rounds}, but {where} has points of {there}")
    if not sum(campaign.round(one).count_rows(POINTS) for one in numbers):
        raise CampaignError(f"{where} has no points yet: there is nothing to export")
    return numbers


def _look_for_turned(images: _Images, plan: ExportPoints) -> None:
    """Refuse questions about images that a format's readers turn, for they would be answered of other pixels;
    warn of such points.
    """
    turning = [name for name in plan.formats if ALL[name].turns]
    count, first = 0, ""
    for image in replace(images, title="looking at the EXIF of images") if turning else ():
        if image.is_turned:
            count, first = count + 1, first or image.image_id
    if not count:
        return
    sentence = (
        f"readers of {', '.join(turning)} turn {counted(count, 'image')} as the EXIF says, such as {first}, "
        "and points are of the stored pixels"
    )
    if plan.what == "questions":
        raise DataError(
            f"{sentence}: answer on the page of `atal annotate`, or begin a campaign on images without EXIF"
        )
    logger.warning("%s: there they lie elsewhere", sentence)


def _open(campaign: CampaignFolder, config: Config, number: int) -> pa.BooleanArray:
    """Of each question of a round whether it has no answer yet; CampaignError where all have one."""
    before = answered_late(campaign, config, number + 1)
    asked = campaign.round(number).read_table(QUERIES)
    found = ~are_answered(asked, campaign.round(number + 1), before)
    if not found.any():
        raise CampaignError(
            f"every question of {campaign.root.uri} has an answer: it goes on with "
            f"{command('resume', campaign.root.uri)}"
        )
    return pa.array(found)


def _said(campaign: CampaignFolder, numbers: tuple[int, ...] | int) -> list[dict[str, Any]]:
    """What is noted of the people who answered the points that are exported."""
    folders = [campaign.round(number) for number in numbers] if isinstance(numbers, tuple) else []
    return [folder.read_json(SAID) for folder in folders if folder.exists(SAID)]


def _as_points(questions: pa.Table) -> pa.Table:
    """Questions as points that nobody is sure of."""
    given = {"label": pa.scalar(UNSURE, pa.uint8()), "source": pa.scalar(OPEN, pa.string())}
    columns = [
        pa.repeat(given[field.name], questions.num_rows) if field.name in given else questions[field.name]
        for field in POINT_SCHEMA
    ]
    return pa.table(columns, schema=POINT_SCHEMA)


def exported(out: Folder) -> str:
    """Where the result is, for the terminal."""
    return out.where(CARD)
