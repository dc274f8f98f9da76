"""Prompts of Segment Anything (SAM, SAM 2): an .npz of each image with point_coords and point_labels."""

from io import BytesIO

import numpy as np

from atal_ray.annotation.formats.labelled_image import LabelledImages, with_labels
from atal_ray.annotation.formats.point_format import PointFormat, point_format
from atal_ray.store.folder import Folder


@point_format("sam")
class SamPrompts(PointFormat):
    """ID.npz: point_coords float32 [N, 2] as column and row, point_labels int32 [N], 1 or 0."""

    knows_unsure = False
    keeps = "the pixel and its label; unsure points are left out"

    def write(self, images: LabelledImages, folder: Folder) -> None:
        """Write a file for each image with a label."""
        for image in with_labels(images):
            data = BytesIO()
            np.savez(
                data,
                point_coords=image.xy[image.sure].astype(np.float32),
                point_labels=image.labels[image.sure].astype(np.int32),
            )
            folder.write_bytes(f"{image.image_id}.npz", data.getvalue())
