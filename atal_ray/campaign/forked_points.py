"""The points that a fork begins with: those of the other campaign as they are now, and questions about images
that have none.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from atal_ray.annotation.answers import corrected
from atal_ray.annotation.oracle import from_masks
from atal_ray.campaign.campaign_folder import MANIFEST, POINTS, QUERIES, START, CampaignFolder
from atal_ray.campaign.query.ask import query
from atal_ray.config import BudgetConfig, Config
from atal_ray.data.record import records
from atal_ray.errors import CampaignError, counted
from atal_ray.labels.points import POINT_SCHEMA, QUERY_SCHEMA, check_points, in_order, running_numbers
from atal_ray.runtime.session import campaign_session

logger = logging.getLogger(__name__)

_NAMED = 10  # images in a warning


@dataclass(frozen=True)
class ForkedPoints:
    """The points of a campaign for another one; tables of them are held in memory."""

    source: CampaignFolder
    work: CampaignFolder
    """Holds the manifest of the new campaign."""
    before: Config
    """Of the source."""
    config: Config
    """Of the new campaign."""
    rounds: int
    """Rounds of the source that have points."""

    def corrected_round(self, number: int) -> pa.Table | None:
        """The points of a round with the answers as they are now, where they have changed."""
        out, asked = self.source.round(number), self.source.round(number - 1)
        if self.before.budget.annotator != "answers" or not asked.exists(QUERIES):
            return None
        return corrected(out.read_table(POINTS), asked.read_table(QUERIES), out)

    def of_rounds(self, same: int) -> Iterator[pa.Table]:
        """The points of each round from `same` on, with the answers as they are now."""
        for number in range(same, self.rounds):
            found = self.corrected_round(number)
            if found is not None:
                logger.info("the answers of round %d are taken as they are now", number)
            yield self.source.round(number).read_table(POINTS) if found is None else found

    def usable(self, points: pa.Table, same: int) -> pa.Table:
        """The points of images that are the same as before, as those of one round, checked."""
        kept = self._unchanged_images()
        mine = points.filter(pc.is_in(points["image_id"], value_set=kept["image_id"].combine_chunks()))
        if mine.num_rows < points.num_rows:
            lost = points["image_id"].filter(
                pc.invert(pc.is_in(points["image_id"], value_set=mine["image_id"]))
            )
            images = pc.unique(lost).to_pylist()
            logger.warning(
                "%s of %s that %s gone or changed %s left out: %s",
                counted(len(lost), "point"),
                counted(len(images), "image"),
                "is" if len(images) == 1 else "are",
                "is" if len(lost) == 1 else "are",
                ", ".join(images[:_NAMED]) + (", ..." if len(images) > _NAMED else ""),
            )
        if not mine.num_rows:
            raise CampaignError(f"{self.source.root.uri}: every image with a point is gone or was changed")
        mine = in_order(mine)
        ids, heights, widths = (kept[name].to_pylist() for name in ("image_id", "height", "width"))
        sizes = dict(zip(ids, heights, strict=True)), dict(zip(ids, widths, strict=True))
        check_points(mine, sizes[0], sizes[1], f"the points of {self.source.root.uri}")
        columns = {name: mine[name] for name in POINT_SCHEMA.names}
        columns["round"] = pa.repeat(same, mine.num_rows)
        columns["order"] = running_numbers(mine["image_id"])
        if self.before.regions != self.config.regions:
            columns["superpixel"] = pa.repeat(-1, mine.num_rows)  # of other superpixels
        arrays = [columns[field.name].cast(field.type) for field in POINT_SCHEMA]
        return pa.table(arrays, schema=POINT_SCHEMA)

    def _unchanged_images(self) -> pa.Table:
        """Id, height and width of the images whose files are the same in both manifests."""
        names = ["image_id", "height", "width", "image_digest", "mask_digest"]
        ours, theirs = (folder.read_table(MANIFEST, names) for folder in (self.work.root, self.source.root))
        old = theirs.rename_columns(["image_id", "h", "w", "old_image", "old_mask"])
        both = ours.join(old, "image_id", join_type="inner")
        empty = pa.scalar(b"", pa.binary())
        pairs = [
            [pc.coalesce(both[name].cast(pa.binary()), empty) for name in of]
            for of in (("image_digest", "old_image"), ("mask_digest", "old_mask"))
        ]
        return both.filter(pc.and_(*(pc.equal(*pair) for pair in pairs))).sort_by("image_id")

    def questions(self, points: pa.Table, same: int) -> pa.Table:
        """The questions that the points answer."""
        regions = pa.repeat(pa.scalar("random"), points.num_rows)
        found = points.select(QUERY_SCHEMA.names[:-1]).append_column("region", regions).cast(QUERY_SCHEMA)
        asked = [
            self.source.round(n - 1).read_table(QUERIES, ["image_id", "x", "y", "region"])
            for n in range(same, self.rounds)
            if self.source.round(n - 1).exists(QUERIES)
        ]
        if not asked:
            return found
        joined = found.drop_columns("region").append_column("at", pa.array(np.arange(found.num_rows)))
        joined = joined.join(pa.concat_tables(asked), ["image_id", "x", "y"], join_type="left outer").sort_by(
            "at"
        )
        return (
            joined.select(QUERY_SCHEMA.names)
            .set_column(
                QUERY_SCHEMA.get_field_index("region"), "region", pc.fill_null(joined["region"], "random")
            )
            .cast(QUERY_SCHEMA)
        )

    def fresh_questions(self, points: pa.Table) -> pa.Table:
        """Random questions about the images that have no point."""
        manifest = self.work.root.read_table(MANIFEST)
        known = pc.is_in(manifest["image_id"], value_set=pc.unique(points["image_id"].combine_chunks()))
        without = manifest.filter(pc.invert(known))
        if not without.num_rows:
            return QUERY_SCHEMA.empty_table()
        logger.info("%s without a point: random ones", counted(without.num_rows, "image"))
        others = CampaignFolder(self.work.root / "others")
        others.root.write_table(MANIFEST, without)
        data = self.work.training_data(self.config).uri
        config = replace(
            self.config,
            data=replace(self.config.data, train=data),
            budget=_start_of(self.config, self.before),
        )
        with campaign_session(config):
            query(others, config, START)
        return others.round(START).read_table(QUERIES)

    def answers(self, fresh: pa.Table) -> Iterator[pa.Table]:
        """The masks' answers to questions."""
        if not fresh.num_rows:
            return
        manifest = self.work.root.read_table(MANIFEST)
        asked = manifest.filter(
            pc.is_in(manifest["image_id"], value_set=pc.unique(fresh["image_id"].combine_chunks()))
        )
        yield from_masks(records(asked, self.work.training_data(self.config)), fresh, "seed")


def _start_of(config: Config, before: Config) -> BudgetConfig:
    """A budget that asks for the random start alone."""
    start = before.budget.start
    return BudgetConfig(
        start=start,
        start_strategy=config.budget.start_strategy,
        per_round=1,
        total=start,
        annotator=config.budget.annotator,
    )
