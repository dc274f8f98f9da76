"""A small labelled dataset that is drawn, not downloaded: for trying a campaign out and for tests."""

from collections.abc import Callable
from pathlib import Path

from PIL import Image

from atal_ray.data.synthetic.scene import render
from atal_ray.errors import DataError
from atal_ray.seeding import rng


def write_dataset(
    folder: str | Path,
    count: int = 48,
    size: tuple[int, int] = (96, 160),
    seed: int = 0,
    on_image: Callable[[], object] = lambda: None,
) -> Path:
    """Draw scenes into `folder`/images (JPEG) and `folder`/masks (PNG, 0/255); scene i depends on (seed, i)
    alone.

    Backgrounds, shapes and occlusion vary. One rule holds throughout, so that the masks can be learnt: what
    is salient is larger than clutter and differs more in colour from the background than any distractor.

    Args:
        folder: a new or empty folder.
        count: number of scenes.
        size: smallest and largest side in pixels; height and width are drawn apart.
        seed: seed of the scenes.
        on_image: called after each scene.

    Raises:
        DataError: the folder is not empty or cannot be written, or `count` or `size` is impossible.
    """
    root = Path(folder)
    if ":/" in str(folder):
        raise DataError(f"{folder} is no local path: draw the images on a disk, then copy them")
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise DataError(f"{folder} is not an empty folder: name a new one for the synthetic dataset")
    if count < 1:
        raise DataError(f"count is {count}: draw at least one scene")
    if not 32 <= size[0] <= size[1]:
        raise DataError(f"size is {size}: give the smallest and the largest side, from 32 pixels on")
    images, masks = root / "images", root / "masks"
    try:
        images.mkdir(parents=True)
        masks.mkdir()
    except OSError as error:
        raise DataError(f"{folder} cannot be written: {error.strerror}") from error
    for index in range(count):
        generator = rng("synth", seed, index)
        height, width = generator.integers(size[0], size[1], 2, endpoint=True).tolist()
        image, mask = render(generator, height, width)
        Image.fromarray(image).save(images / f"scene-{index:04d}.jpg", quality=92)
        Image.fromarray(255 * mask).save(masks / f"scene-{index:04d}.png")
        on_image()
    return root
