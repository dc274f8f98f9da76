"""Batches by threads are those of the samples, in order; images are decoded once a round."""

import dataclasses
from threading import enumerate as threads_alive

import pytest
import torch

from atal_ray.config import Config, RegionConfig, TrainConfig
from atal_ray.data import record
from atal_ray.errors import DataError
from atal_ray.training.loader import Loader, threads_for
from atal_ray.training.samples import batches

CONFIG = Config(train=TrainConfig(size=64, scales=(64, 96), epochs=4, cycles=2, batch_size=3))
DENSE = dataclasses.replace(
    CONFIG, regions=RegionConfig(labels="dense"), train=dataclasses.replace(CONFIG.train, loss="bce+wiou")
)
CPU = torch.device("cpu")


@pytest.mark.parametrize("config", [CONFIG, DENSE], ids=["points", "masks"])
@pytest.mark.parametrize("threads", [0, 1, 5])
def test_batches_are_those_of_the_samples_in_order(make_samples, config, threads):
    samples, alone = make_samples(config), make_samples(config)
    with Loader(samples, CPU, threads) as loader:
        for epoch in range(2):
            draws = list(batches(len(samples), config, 0, epoch))
            loaded = list(loader.batches(draws))
            assert len(loaded) == len(draws)
            for (images, targets), batch in zip(loaded, draws, strict=True):
                wanted = [alone[draw] for draw in batch]
                assert torch.equal(images, torch.stack([image for image, _ in wanted]))
                assert torch.equal(targets, torch.stack([target for _, target in wanted]))
                assert images.is_contiguous()


@pytest.mark.parametrize("threads", [0, 3])
def test_images_and_superpixels_are_read_once_a_round(make_samples, monkeypatch, threads):
    samples, read = make_samples(CONFIG), []
    plain = record.read_image
    monkeypatch.setattr(record, "read_image", lambda path, data: read.append(path) or plain(path, data))
    with Loader(samples, CPU, threads) as loader:
        for epoch in range(3):
            for _ in loader.batches(list(batches(len(samples), CONFIG, 0, epoch))):
                pass
    assert sorted(read) == sorted(samples.record(index).image for index in range(len(samples)))


def test_threads_live_across_epochs_and_end_with_the_round(make_samples):
    samples = make_samples(CONFIG)

    def loaders() -> set[str]:
        return {thread.name for thread in threads_alive() if thread.name.startswith("loader")}

    seen = []
    with Loader(samples, CPU, 2) as loader:
        for epoch in range(3):
            for _ in loader.batches(list(batches(len(samples), CONFIG, 0, epoch))):
                pass
            seen.append(loaders())
    assert seen[0] == seen[1] == seen[2] != set()
    assert not loaders()


def test_an_epoch_that_is_given_up_leaves_nothing_behind(make_samples):
    samples = make_samples(CONFIG)
    with Loader(samples, CPU, 2) as loader:
        epoch = loader.batches(list(batches(len(samples), CONFIG, 0, 0)))
        next(iter(epoch))
        del epoch
        assert len(list(loader.batches(list(batches(len(samples), CONFIG, 0, 1))))) == 3


@pytest.mark.parametrize("threads", [0, 2])
def test_an_image_that_cannot_be_read_is_named(make_samples, monkeypatch, threads):
    def broken(path: str, data: bytes) -> None:
        raise DataError(f"{path} cannot be decoded")

    monkeypatch.setattr(record, "read_image", broken)
    samples = make_samples(CONFIG)
    with Loader(samples, CPU, threads) as loader, pytest.raises(DataError, match="cannot be decoded"):
        list(loader.batches(list(batches(len(samples), CONFIG, 0, 0))))


@pytest.mark.parametrize(
    ("wanted", "cores", "busy", "workers", "expected"),
    [(0, 8, 1, 1, 0), (5, 2, 1, 1, 5), (None, 2, 2, 1, 1), (None, 16, 1, 1, 8), (None, 16, 2, 4, 2)],
)
def test_threads_are_chosen_from_the_machine_unless_they_are_set(wanted, cores, busy, workers, expected):
    assert threads_for(wanted, cores=cores, busy=busy, workers=workers) == expected
