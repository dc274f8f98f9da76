"""Every example runs as its head says, and is short."""

import re
import runpy
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from atal_ray.config import NetworkConfig
from atal_ray.networks import build

EXAMPLES = sorted((Path(__file__).resolve().parents[1] / "examples").glob("*.py"))
SNAPSHOTS = "runs/demo/round-01/snapshots"
Run = Callable[[str], str]


def command_of(example: Path) -> str:
    (command,) = re.findall(rf"^    python examples/({example.name}.*)$", example.read_text(), re.MULTILINE)
    return str(command)


@pytest.fixture
def run(
    tmp_path: Path, synth_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Runs an example by the command in its head, in a folder with the files that are named there."""
    torch.manual_seed(0)
    (tmp_path / SNAPSHOTS).mkdir(parents=True)
    for number in (1, 2):
        network = build(NetworkConfig(name="f3net-small"))
        torch.save(network.state_dict(), tmp_path / SNAPSHOTS / f"{number}.pt")
    for name in ("photo.jpg", "photo1.jpg", "photo2.jpg"):
        shutil.copy(min((synth_folder / "images").iterdir()), tmp_path / name)
    for name in ("map.png", "mask.png"):
        shutil.copy(min((synth_folder / "masks").iterdir()), tmp_path / name)
    monkeypatch.chdir(tmp_path)

    def run(name: str) -> str:
        (example,) = [path for path in EXAMPLES if path.stem == name]
        monkeypatch.setattr("sys.argv", shlex.split(command_of(example)))
        runpy.run_path(str(example), run_name="__main__")
        return capsys.readouterr().out

    return run


def test_there_are_six_and_each_has_a_test() -> None:
    assert len(EXAMPLES) == 6
    assert {f"test_{path.stem}" for path in EXAMPLES} <= set(globals())


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_they_are_short(example: Path) -> None:
    assert len(example.read_text().splitlines()) <= 40
    assert command_of(example).startswith(example.name)


def test_attack_photo(run: Run, tmp_path: Path) -> None:
    assert "of the pixels change sides" in run("attack_photo")
    row = np.asarray(Image.open(tmp_path / "attack.png")).astype(int)
    assert row.shape == (128, 4 * 128, 3)
    change = np.abs(row[:, 256:384] - row[:, :128])
    assert 0 < change.max() <= 9  # eps is 8 of 255, and both are rounded


def test_batch_uncertainty(run: Run) -> None:
    first, second = run("batch_uncertainty").splitlines()
    shares = [float(share) for share in re.findall(r"(?:SR|PIR|PSR) ([\d.]+)%", first)]
    assert sum(shares) == pytest.approx(100, abs=0.2)
    assert first.removeprefix("photo1.jpg") == second.removeprefix("photo2.jpg")  # the same photo


def test_rds_on_arrays(run: Run) -> None:
    *asked, chosen, uncertain = run("rds_on_arrays").splitlines()
    assert len(asked) == len(set(asked)) == 10
    assert float(chosen.split()[-2]) > float(uncertain.split()[-2])


def test_superpixel_labels(run: Run, tmp_path: Path) -> None:
    background, salient = sorted(run("superpixel_labels").splitlines())
    shown, photo = (
        np.asarray(Image.open(tmp_path / name).convert("RGB")).astype(int)
        for name in ("labels.png", "photo.jpg")
    )
    changed = (shown != photo).any(axis=2).mean()
    told = sum(float(line.split()[2]) for line in (background, salient)) / 100
    assert 0 < changed == pytest.approx(told, abs=1e-3)


def test_metrics_of_two_pngs(run: Run) -> None:
    scores = dict(line.split() for line in run("metrics_of_two_pngs").splitlines())
    assert float(scores["mae"]) == 0  # the map is the mask
    assert float(scores["s_measure"]) == pytest.approx(1, abs=1e-4)


def test_small_campaign(run: Run, tmp_path: Path) -> None:
    assert "24 points" in run("small_campaign")  # 6 images with 4 points each
    assert (tmp_path / "runs/small/run/report.html").is_file()
