"""A few images of each test set: the image, its mask, and what is predicted of it."""

from collections.abc import Iterable, Mapping

from atal_ray.campaign.campaign_folder import CampaignFolder
from atal_ray.config import Config
from atal_ray.data.record import Record
from atal_ray.errors import AtalError
from atal_ray.report import overlays
from atal_ray.report.gallery_file import LEVELS, shown_records
from atal_ray.report.numbers import Numbers
from atal_ray.report.overlays import SALIENCY_MAP, photo
from atal_ray.report.picture_size import fit
from atal_ray.report.pictures import Picture, Scene, plain_pictures
from atal_ray.report.predictions_file import TEST_IMAGES, Predictions, read_predictions
from atal_ray.report.shown_images import ShownImage
from atal_ray.store.streamed import row_groups

_SHARE = 0.6
"""Of the side of the pictures of training images."""


def read_test_images(
    campaign: CampaignFolder, config: Config, numbers: Numbers
) -> dict[str, list[ShownImage]]:
    """What the snapshots of every round predict; see `shown_predictions`."""
    rounds = range(len(numbers.rounds))
    named = {f"Prediction, round {number}": read_predictions(campaign.round(number)) for number in rounds}
    return shown_predictions(campaign, config, numbers.test_sets, named)


def shown_predictions(
    campaign: CampaignFolder, config: Config, test_sets: Iterable[str], named: Mapping[str, Predictions]
) -> dict[str, list[ShownImage]]:
    """Pictures of the first images of each test set by the hashes of their ids; a set without any is absent.

    Where an image cannot be read, its place says why.

    Args:
        campaign: with the manifests of the test sets.
        config: its configuration.
        test_sets: their names.
        named: caption -> predictions.
    """
    found: dict[str, list[ShownImage]] = {}
    for name in test_sets:
        if not any(test_set == name for predictions in named.values() for test_set, _ in predictions):
            continue
        rows = row_groups(campaign.root / "tests", f"{name}.parquet")
        try:
            shown = shown_records(rows, campaign.test_data(config, name), TEST_IMAGES)
        except AtalError as error:
            found[name] = [ShownImage(name, problem=str(error))]
            continue
        found[name] = [_shown(record, name, named) for record in shown]
    return found


def _shown(record: Record, test_set: str, named: Mapping[str, Predictions]) -> ShownImage:
    try:
        mask = record.read_mask().astype(bool) if record.mask else None
        scene = Scene(record.image_id, record.read_image(), mask, None, [])
    except AtalError as error:
        return ShownImage(record.image_id, problem=str(error))
    shape = fit(*scene.shape, _SHARE)
    pictures = plain_pictures(scene)
    for caption, predictions in named.items():
        saliency = predictions.get((test_set, record.image_id))
        if saliency is not None:
            pictures.append(Picture(caption, overlays.heat(saliency, shape, LEVELS, SALIENCY_MAP)))
    return ShownImage(record.image_id, *shape, photo(scene.image, shape), tuple(pictures))
