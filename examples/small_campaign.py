"""A campaign from Python, in this process and without Ray: drawn images, two rounds, a report.

    python examples/small_campaign.py runs/small

A new folder; the same command on a folder that is there would find its images drawn already and refuse.
"""

from pathlib import Path

import tyro

from atal_ray.campaign.run import run_campaign
from atal_ray.config import BudgetConfig, Config, DataConfig, NetworkConfig, ResourceConfig, TrainConfig
from atal_ray.data.synthetic.dataset import write_dataset
from atal_ray.labels.points import SALIENT


def main(folder: Path, /, images: int = 6) -> None:
    """Run the campaign in FOLDER, which also gets the images."""
    train = write_dataset(folder / "train", count=images)
    test = write_dataset(folder / "test", count=images, seed=1)
    config = Config(
        data=DataConfig(train=str(train), tests=(str(test),)),
        network=NetworkConfig(name="f3net-small"),
        train=TrainConfig(size=64, scales=(64,), epochs=2, cycles=2, batch_size=4),
        budget=BudgetConfig(total=4),  # two points an image at the start, two more in the second round
        resources=ResourceConfig(backend="inline"),
    )
    campaign = run_campaign(config, folder / "run")
    points = campaign.points(config.rounds - 1)
    salient = points["label"].to_pylist().count(SALIENT)
    print(f"{points.num_rows} points, {salient} of them salient; see {folder / 'run' / 'report.html'}")


if __name__ == "__main__":
    tyro.cli(main)
