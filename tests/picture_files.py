from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Writer = Callable[..., Path]


def photo(height: int = 24, width: int = 32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def square(height: int = 24, width: int = 32) -> np.ndarray:
    mask = np.zeros((height, width), np.uint8)
    mask[6:18, 8:20] = 255
    return mask


@pytest.fixture
def put(tmp_path: Path) -> Writer:
    """Write pixels to a path below tmp_path, making its folders."""

    def write(relative: str, pixels: np.ndarray) -> Path:
        path = tmp_path / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
        return path

    return write


@pytest.fixture
def dataset(put: Writer, tmp_path: Path) -> Callable[..., Path]:
    """Write photos and square masks of the given stems into two folders below tmp_path."""

    def write(
        image: str = "images",
        mask: str | None = "masks",
        stems: Iterable[str] = ("a", "b", "c"),
        suffix: str = ".jpg",
    ) -> Path:
        for seed, stem in enumerate(stems):
            put(f"./{image}/{stem}{suffix}", photo(seed=seed))
            if mask is not None:
                put(f"./{mask}/{stem}.png", square())
        return tmp_path

    return write


@pytest.fixture
def cut_short() -> Callable[[Path], None]:
    """Drop the last quarter of a file; the header stays."""

    def cut(path: Path) -> None:
        data = path.read_bytes()
        path.write_bytes(data[: len(data) * 3 // 4])

    return cut
