from pathlib import Path

import cv2
import numpy as np
import pytest

from atal_ray.data.check import check_folder
from atal_ray.data.images import read_image, read_mask
from atal_ray.data.synthetic.dataset import write_dataset
from atal_ray.data.synthetic.scene import render
from atal_ray.errors import DataError
from atal_ray.seeding import rng


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.*")}


def test_a_dataset_is_clean_and_varied(tmp_path: Path) -> None:
    root = write_dataset(tmp_path / "new" / "set", count=24)
    report = check_folder(root)
    assert (report.layout, report.images, report.masks, report.findings) == ("images + masks", 24, 24, ())
    masks = [read_mask(path) for path in sorted((root / "masks").iterdir())]
    shares = [float(mask.mean()) for mask in masks]
    assert min(shares) > 0.01
    assert max(shares) < 0.6
    assert max(shares) > 4 * min(shares)
    assert len({mask.shape for mask in masks}) > 12
    assert all(96 <= side <= 160 for mask in masks for side in mask.shape)


def test_scenes_depend_on_seed_and_index_alone(tmp_path: Path) -> None:
    few, many, other = (
        write_dataset(tmp_path / f"{count}-{seed}", count, (48, 64), seed)
        for count, seed in [(2, 0), (4, 0), (2, 1)]
    )
    assert contents(few).items() <= contents(many).items()
    assert all(contents(other)[name] != data for name, data in contents(few).items())


def test_what_is_salient_stands_out(tmp_path: Path) -> None:
    """The rule that makes masks learnable: the object's colour is further from the border's than the
    background's is.
    """
    root = write_dataset(tmp_path, count=24)
    ratios = []
    for path in sorted((root / "images").iterdir()):
        lab = cv2.cvtColor(read_image(path).astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
        mask = read_mask(root / "masks" / f"{path.stem}.png").astype(bool)
        border = np.concatenate([lab[0], lab[-1], lab[:, 0], lab[:, -1]])
        distance = np.linalg.norm(lab - np.median(border, axis=0), axis=2)
        ratios.append(np.median(distance[mask]) / np.median(distance[~mask]))
    assert min(ratios) > 1.2
    assert np.median(ratios) > 2.5


def test_render_is_aligned_with_its_size() -> None:
    image, mask = render(rng("test", 0), 70, 101)
    assert (image.shape, mask.shape) == ((70, 101, 3), (70, 101))
    assert (image.dtype, mask.dtype, set(np.unique(mask))) == (np.uint8, np.uint8, {0, 1})


@pytest.mark.parametrize(
    ("count", "size", "sentence"),
    [(0, (96, 160), "at least one"), (1, (16, 64), "from 32"), (1, (96, 64), "from 32")],
)
def test_impossible_requests(tmp_path: Path, count: int, size: tuple[int, int], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        write_dataset(tmp_path / "set", count, size)
    assert not (tmp_path / "set").exists()


def test_existing_files_are_never_touched(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    for folder in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(DataError, match="is not an empty folder"):
            write_dataset(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_uri_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="is no local path"):
        write_dataset("s3://bucket/set", count=1)
    assert not any(tmp_path.iterdir())
