import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest_plugins = ["picture_files"]  # fixtures that write photographs and masks

if TYPE_CHECKING:
    from stores import Store

    from atal_ray.config import Config

PATHS = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]

os.environ.update(  # before any test imports torch or ray, which read them only once
    PYTHONPATH=os.pathsep.join(filter(None, PATHS)),  # where workers and commands find toy_network
    OMP_NUM_THREADS="1",
    RAY_AUTH_MODE="disabled",
    RAY_USAGE_STATS_ENABLED="0",
    RAY_DATA_LOG_LEVEL="ERROR",
    RAY_DATA_DISABLE_PROGRESS_BARS="1",
    RAY_TRAIN_HEALTH_CHECK_INTERVAL_S="0.2",
    RAY_TRAIN_ENABLE_PREEMPTION_WATCHER="0",
    RAY_memory_monitor_refresh_ms="0",
    AWS_ACCESS_KEY_ID="test",  # of the S3 server on loopback; Ray's workers inherit them
    AWS_SECRET_ACCESS_KEY="test",
    AWS_EC2_METADATA_DISABLED="true",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests on Ray take longest: they come first, so that no process is left alone with them."""
    items.sort(key=lambda item: "ray_local" not in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def shared() -> Path:
    folder = Path(__file__).resolve().parents[1].parent / "shared"
    if not folder.exists():
        pytest.skip("needs ../shared")
    return folder


@pytest.fixture(scope="session")
def synth_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight drawn images with masks, for reading only."""
    from atal_ray.data.synthetic.dataset import write_dataset

    return write_dataset(tmp_path_factory.mktemp("synth") / "scenes", count=8)


@pytest.fixture(scope="session")
def s3() -> "Iterator[Store]":
    """An S3 server on loopback."""
    from stores import start_server

    store, process = start_server()
    yield store
    process.terminate()
    process.wait()


@pytest.fixture(scope="session")
def ray_local() -> Iterator[None]:
    """A Ray of this session's own, with logical CPUs enough for every nested stage."""
    import ray

    ray.init(
        address="local",
        num_cpus=4,
        object_store_memory=200 * 2**20,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="error",
    )
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> "tuple[Config, Path]":
    """A finished inline campaign of seven images and two rounds, and its configuration; whoever changes a
    file puts it back.
    """
    from campaigns import tiny_config
    from plain_reports import plain_reports

    from atal_ray.campaign.run import run_campaign
    from atal_ray.data.synthetic.dataset import write_dataset

    folder = tmp_path_factory.mktemp("campaign")
    train, test = write_dataset(folder / "train", count=7), write_dataset(folder / "test", count=4, seed=1)
    with plain_reports(), pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # paths are given as people give them: relative
        run_campaign(tiny_config(Path("train"), (Path("test"),)), Path("run"))
    return tiny_config(train, (test,)), folder / "run"
