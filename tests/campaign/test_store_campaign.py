"""A campaign on an S3 server, its images too: the points of the local one, also when it is killed before it
commits.
"""

import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from campaigns import all_points, assert_finished, assert_points_are_true, on_ray
from stores import Store

from atal_ray import cli
from atal_ray.campaign import prepare
from atal_ray.campaign.campaign_folder import COMMITTED, POINTS, QUERIES, CampaignFolder
from atal_ray.campaign.run import run_campaign
from atal_ray.config import Config, config_file, presets
from atal_ray.data.synthetic.dataset import write_dataset
from atal_ray.errors import CampaignError
from atal_ray.store import lock
from atal_ray.store.folder import Folder
from atal_ray.store.lease import LOCK, Times

Atal = Callable[..., str]
DIE_AT_COMMIT = """
import os, signal, sys
from atal_ray.campaign.campaign_folder import CampaignFolder
from atal_ray.cli import main
CampaignFolder.commit = lambda self, number: os.kill(os.getpid(), signal.SIGKILL)
sys.argv[0] = "atal"
main()
"""


@pytest.fixture(autouse=True)
def quick_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "Times", lambda: Times(beat=1, stale=6))


@pytest.fixture
def atal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Atal:
    """Run the command line; what it prints."""

    def run(*arguments: object) -> str:
        monkeypatch.setattr("sys.argv", ["atal", *map(str, arguments)])
        with pytest.raises(SystemExit, match=r"^0$"):
            cli.main()
        return capsys.readouterr().out

    return run


def in_store(s3: Store, config: Config) -> Config:
    """The configuration with its images in buckets."""
    train, *tests = (
        s3.upload(Path(folder), Path(folder).name) for folder in (config.data.train, *config.data.tests)
    )
    return dataclasses.replace(config, data=dataclasses.replace(config.data, train=train, tests=tuple(tests)))


def test_a_round_that_was_not_committed_is_taken_up(
    s3: Store, finished: tuple[Config, Path], atal: Atal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A finished campaign, moved to a store as it was before its last commit."""
    config, local = finished
    store = CampaignFolder(s3.folder())
    store.root.copy_tree(local)
    for folder, name in ((store.round(1), COMMITTED), (store.root, "report.html"), (store.root, LOCK)):
        folder.remove(name)
    (store.round(1) / "train").write_bytes("left", b"over")
    with monkeypatch.context() as patch:
        patch.setattr(
            CampaignFolder,
            "commit",
            lambda self, number: Folder(s3.uri("no-such-bucket")).write_bytes(COMMITTED, b""),
        )
        with pytest.raises(CampaignError, match="cannot be written"):
            run_campaign(config, store.root.uri)
    assert not store.is_committed(1)
    printed = atal("resume", store.root.uri)
    assert printed.endswith(f"done: s3://{store.root.open()[1]}/report.html{s3.query}\n")
    assert_finished(store, 2)
    assert all_points(store, 2) == all_points(CampaignFolder(Folder(str(local))), 2)
    assert store.root.read_json(LOCK)["free"]
    store.round(0).remove(QUERIES)
    with pytest.raises(CampaignError, match=r"round-00/queries\.parquet\?.* was changed or lost"):
        store.is_committed(0)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_before_the_commit_it_ends_with_the_points_of_the_local_one(
    s3: Store, finished: tuple[Config, Path], tmp_path: Path, atal: Atal
) -> None:
    config, local = finished
    store, settings = CampaignFolder(s3.folder()), tmp_path / "config.yaml"
    settings.write_text(config_file.to_yaml(on_ray(in_store(s3, config))))
    killed = subprocess.Popen(
        [sys.executable, "-c", DIE_AT_COMMIT, "run", str(settings), store.root.uri], env={**os.environ}
    )
    assert killed.wait() == -signal.SIGKILL
    assert store.round(0).exists(QUERIES)
    assert not store.round(0).exists(COMMITTED)
    atal("run", settings, store.root.uri)
    assert_finished(store, 2)
    assert_points_are_true(store, 2, 4)
    assert all_points(store, 2) == all_points(CampaignFolder(Folder(str(local))), 2)
    assert len((store.root / "superpixels").names()) == 7

    images = s3.upload(write_dataset(tmp_path / "new", count=3, seed=3), "new")
    out = CampaignFolder(s3.folder())
    asked = atal("generate", store.root.uri, out.root.uri, "--images", images, "--points", "2")
    assert f"done: 6 points of 3 images: {out.round(1).where(POINTS)}" in asked
    assert_points_are_true(out, 2, 2, images)
    given = CampaignFolder(s3.folder())
    atal(
        "run",
        settings,
        given.root.uri,
        "--data.points",
        store.root.uri,
        "--data.tests",
        "--resources.loader-workers",
        "1",
    )
    assert given.points(0).num_rows == 4 * 7


def test_the_drawn_images_of_the_demo_are_made_in_the_store(
    s3: Store, finished: tuple[Config, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "DEMO_TRAIN", 3)
    monkeypatch.setattr(prepare, "DEMO_TEST", 2)
    store = CampaignFolder(s3.folder())
    prepare.prepare(store, presets.demo())
    assert [row.image for rows in store.images(presets.demo()) for row in rows] == [
        (store.root / "data" / "train" / "images").where(f"scene-{n:04d}.jpg") for n in range(3)
    ]
    assert store.test_sets() == ["test"]
