"""Stage: questions -> labelled points, by the oracle, by people, or taken from elsewhere."""

from atal_ray.annotation.answers import forget_parts, from_people
from atal_ray.annotation.imported_points import import_points
from atal_ray.annotation.oracle import from_masks
from atal_ray.campaign.campaign_folder import MANIFEST, POINTS, QUERIES, CampaignFolder
from atal_ray.config import Config
from atal_ray.labels.points import POINT_SCHEMA


def annotate(campaign: CampaignFolder, config: Config, round_number: int) -> None:
    """Answer the questions of the round before, or take the points that are given; writes the points.parquet
    of the round.

    Full masks leave it without rows.

    Raises:
        WaitingError: answers are awaited from people and are not, or not all, there.
        DataError: a table of answers cannot be used, or an image that the oracle is asked about has no mask.
    """
    questions, out = campaign.round(round_number - 1), campaign.round(round_number)
    if config.data.points is not None:
        import_points(campaign, config.data.points)
        return
    if config.regions.labels == "dense":
        out.write_table(POINTS, POINT_SCHEMA.empty_table())  # nothing was asked: the masks say all
        return
    asked = questions.read_table(QUERIES)
    if config.budget.annotator == "oracle":
        images = campaign.root.count_rows(MANIFEST)
        source = "seed" if round_number == 0 else "oracle"
        out.write_tables(POINTS, from_masks(campaign.images(), images, asked, source), POINT_SCHEMA)
        forget_parts(out)
    else:
        out.write_table(POINTS, from_people(asked, out, questions.where(QUERIES)))
