"""Real images that benchmarks train and judge on: a training set, a second data set, and held-out images."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from atal_ray.config import DataConfig, NetworkConfig


@dataclass(frozen=True, kw_only=True)
class RealImages:
    """Where the images are, where a benchmark writes, and how it runs."""

    train: Path
    """DUTS-TR."""
    test: Path
    """ECSSD."""
    weights: Path
    """ImageNet weights of a ResNet-50 that strides on its 1x1 convolutions."""
    out: Path
    held_out: Path | None = None
    """Text file with ids of images of `train` that are a test set, and that nothing trains on."""
    processes: int = 2
    """How many units of work run at once."""
    figures_only: bool = False
    """Run nothing: write the figures of what is finished."""


def test_sets(images: RealImages) -> list[Path]:
    """The folders of the test sets."""
    return [images.test.resolve(), *([images.out.resolve() / "held-out"] if images.held_out else [])]


def lay_out(images: RealImages) -> None:
    """Write the list of images to train on and, as a folder of its own, the held-out test set."""
    images.out.mkdir(parents=True, exist_ok=True)
    held = set(images.held_out.read_text().split()) if images.held_out else set()
    pictures = next(
        path for path in images.train.iterdir() if path.is_dir() and "mask" not in path.name.lower()
    )
    masks = next(path for path in images.train.iterdir() if path.is_dir() and "mask" in path.name.lower())
    ids = sorted(path.stem for path in pictures.iterdir() if path.suffix == ".jpg" and path.stem not in held)
    (images.out / "train.txt").write_text("\n".join(ids) + "\n")
    for source, name in ((pictures, "images"), (masks, "masks")):
        place = images.out / "held-out" / name
        for path in source.iterdir() if held else ():
            place.mkdir(parents=True, exist_ok=True)
            if path.stem in held and not (place / path.name).exists():
                shutil.copy(path, place / path.name)


def names(images: RealImages) -> list[str]:
    """Names of the test sets."""
    return [path.name for path in test_sets(images)]


def data_of(images: RealImages, limit: int, test_limit: int | None = None) -> DataConfig:
    """The first images of `train` that are not held out, and of the test sets; None: without test sets."""
    return DataConfig(
        train=str(images.train.resolve()),
        subset=str(images.out.resolve() / "train.txt"),
        tests=tuple(str(path) for path in test_sets(images)) if test_limit else (),
        limit=limit,
        test_limit=test_limit,
    )


def network_of(images: RealImages) -> NetworkConfig:
    """F3Net on these weights."""
    return NetworkConfig(weights=str(images.weights.resolve()), stride_on="1x1")
