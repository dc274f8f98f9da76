"""Superpixels on disk: they are slow to compute and needed again in every epoch."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from atal_ray.config import RegionConfig
from atal_ray.data.record import Record
from atal_ray.errors import CampaignError
from atal_ray.labels.superpixel_method import cut
from atal_ray.store.folder import Folder

LARGEST_ID = 65_535


@dataclass(frozen=True)
class SuperpixelCache:
    """Superpixel maps as 16-bit PNG files, one an image, each computed when it is needed first.

    Two processes may compute the same map at once: both write the same bytes.
    """

    folder: Folder
    config: RegionConfig
    by_digest: bool = False
    """Name the maps by the digests of the images, where campaigns on other images share the folder."""

    def get(self, record: Record, image: npt.NDArray[np.uint8] | None = None) -> npt.NDArray[np.int32]:
        """The superpixel id of every pixel of an image, int32 [H, W].

        Args:
            record: the image.
            image: its pixels where the caller has them already; read from the file otherwise.

        Raises:
            CampaignError: the file of the map is damaged, or of another image.
            DataError: the image cannot be read.
        """
        name = f"{record.image_digest.hex() if self.by_digest else record.image_id}.png"
        if self.folder.exists(name):
            data = np.frombuffer(self.folder.read_bytes(name), np.uint8)
            stored = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if len(data) else None
            if stored is None or stored.dtype != np.uint16 or stored.shape != (record.height, record.width):
                raise CampaignError(f"{self.folder.where(name)} is damaged: delete it and start again")
            return np.asarray(stored, np.int32)
        made = cut(record.read_image() if image is None else image, self.config)
        if int(made.max()) <= LARGEST_ID:  # a map with more ids is rare, and computed anew each time
            self.folder.write_bytes(name, cv2.imencode(".png", made.astype(np.uint16))[1].tobytes())
        return made
