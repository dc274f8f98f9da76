"""What of an image file is easily overlooked, because reading it changes or passes over it."""

from dataclasses import dataclass

from PIL import ExifTags, Image

from atal_ray.data.images import is_deep

SMALL_SIDE = 64
"""Pixels below which a side is small: no network takes a smaller one, so the image is enlarged."""
LONG_SIDE = 4.0
"""The longer side over the shorter one above which an image is long: it is resized to a square."""
LARGE_PIXELS = 40_000_000
"""Pixels above which an image is large: decoded it takes more than 100 MiB."""

_TURNED = {
    2: "is mirrored left to right",
    3: "is turned by 180 degrees",
    4: "is mirrored top to bottom",
    5: "is mirrored and turned by 90 degrees",
    6: "is turned by 90 degrees clockwise",
    7: "is mirrored and turned by 90 degrees",
    8: "is turned by 90 degrees anticlockwise",
}
"""What the EXIF orientations tell a viewer to do; 1 is as stored."""
_ALPHA = ("RGBA", "LA", "PA", "RGBa", "La")
_BITS_PER_SAMPLE = 258  # TIFF tag


@dataclass(frozen=True)
class ImageTraits:
    """What reading does to the pixels of a file, or passes over."""

    width: int
    height: int
    turned: str
    """What a viewer does to the stored pixels by their EXIF orientation; empty for nothing."""
    cmyk: bool
    deep: bool
    """More than 8 bits a channel."""
    alpha: bool
    frames: int

    @property
    def ratio(self) -> float:
        """The longer side over the shorter one."""
        return max(self.width, self.height) / min(self.width, self.height)


def traits_of(image: Image.Image) -> ImageTraits:
    """The traits of an open image that is not decoded yet."""
    deep = is_deep(image) or any(bits > 8 for bits in _bits(image))
    return ImageTraits(
        width=image.width,
        height=image.height,
        turned=_TURNED.get(orientation_of(image), ""),
        cmyk=image.mode == "CMYK",
        deep=deep,
        alpha=image.mode in _ALPHA or "transparency" in image.info,
        frames=1
        if image.format == "MPO"
        else int(getattr(image, "n_frames", 1)),  # MPO: a JPEG with a preview
    )


def orientation_of(image: Image.Image) -> int:
    """The EXIF orientation 1 to 8 of the pixels that are read, 1 where there is none or it cannot be read."""
    if image.format == "TIFF":  # which Pillow turns itself
        return 1
    try:
        found = int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # a damaged block raises almost any type, and the pixels are whole
        return 1
    return found if 1 <= found <= 8 else 1


def _bits(image: Image.Image) -> tuple[int, ...]:
    """Bits a channel, of the formats that have more than 8 in an RGB mode; Pillow brings these to 8."""
    if hasattr(image, "tag_v2"):  # TIFF
        return tuple(image.tag_v2.get(_BITS_PER_SAMPLE, (8,)))
    tile = getattr(image, "tile", None)  # of files alone
    raw = str(tile[0].args) if image.format == "PNG" and tile else ""
    return (16,) if ";16" in raw else (8,)
