"""Images for which the snapshots give numbers that are not finite: a row each, or one sentence for all."""

from collections.abc import Iterable

from atal_ray.errors import DivergedError

NOT_FINITE = "the snapshots give numbers for it that are not finite (NaN or infinity)"
"""The reason in a table of errors."""


def require_finite(reasons: Iterable[str], done: int, work: str, lr_max: float) -> None:
    """Refuse the outcome of a stage whose network was of use for no image.

    Args:
        reasons: of the images that were left out.
        done: how many images were not.
        work: what was being done.
        lr_max: `train.lr-max` of the campaign.

    Raises:
        DivergedError: no image was done, and one at least for this reason.
    """
    if not done and NOT_FINITE in reasons:
        raise DivergedError(
            f"{work}: the snapshots give numbers that are not finite for every image, so their training has "
            f"diverged: start another campaign with a lower train.lr-max than {lr_max:g}"
        )
