"""LLAL: the ranking loss against its pairs, what the module shapes, and its strategy."""

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits
from toy_network import Toy

from atal_ray.acquisition.methods.llal import (
    LossModule,
    PredictedLoss,
    PredictedLossConfig,
    RandomSubset,
    RandomSubsetConfig,
    resized,
)
from atal_ray.acquisition.pick import PixelPool
from atal_ray.acquisition.seen import Seen
from atal_ray.config import QueryConfig
from atal_ray.networks.beside import attach

SETTINGS = PredictedLossConfig(channels=4)


def module() -> LossModule:
    torch.manual_seed(0)
    return LossModule([8], SETTINGS)


def test_the_ranking_loss_is_the_mean_over_pairs() -> None:
    generator = torch.Generator().manual_seed(1)
    difference, larger = torch.randn(50, generator=generator), torch.rand(50, generator=generator) < 0.5
    expected = 0.0
    for d, first_is_larger in zip(difference.tolist(), larger.tolist(), strict=True):
        s = 1 if first_is_larger else -1
        expected += max(0.0, -s * d + 1.0) / 50
    assert module().rank(difference, larger).item() == pytest.approx(expected, rel=1e-5)


def test_pairs_are_of_labelled_pixels_and_their_true_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, targets = torch.randn(2, 1, 8, 8), torch.full((2, 8, 8), 255, dtype=torch.uint8)
    targets[0, 1, 2], targets[0, 5, 5], targets[1, 7, 0] = 1, 0, 1
    maps = torch.randn(2, 1, 8, 8)
    pairs = torch.tensor([[0, 1, 2], [2, 0, 1]])
    monkeypatch.setattr(torch, "randint", lambda *_, **__: pairs)
    places = [(0, 1, 2), (0, 5, 5), (1, 7, 0)]
    true = [
        binary_cross_entropy_with_logits(logits[b, 0, y, x], targets[b, y, x].float()) for b, y, x in places
    ]
    said = [maps[b, 0, y, x] for b, y, x in places]
    expected = [
        max(0.0, -(1 if true[i] > true[j] else -1) * float(said[i] - said[j]) + 1.0)
        for i, j in zip(*pairs.tolist(), strict=True)
    ]
    assert module().loss(maps, logits, targets).item() == pytest.approx(np.mean(expected), rel=1e-5)


def test_fewer_than_two_labelled_pixels_make_no_loss_but_a_gradient() -> None:
    maps = torch.randn(1, 1, 4, 4, requires_grad=True)
    loss = module().loss(maps, torch.zeros(1, 1, 8, 8), torch.full((1, 8, 8), 255, dtype=torch.uint8))
    loss.backward()
    assert loss.item() == 0
    assert maps.grad is not None


def test_it_stops_shaping_the_network_in_the_last_part() -> None:
    part, level = module(), torch.randn(1, 8, 4, 4, requires_grad=True)
    for done, shaped in ((0.0, True), (0.59, True), (0.6, False)):
        part.begin_epoch(done)
        level.grad = None
        part((level,), torch.zeros(1, 3, 8, 8)).sum().backward()
        assert (level.grad is not None) == shaped


def test_it_learns_to_rank() -> None:
    """A network that is always wrong on the right half: there the predicted loss becomes higher."""
    torch.manual_seed(0)
    network = Toy()
    attach(network, LossModule, PredictedLossConfig(channels=8))
    assert network.beside is not None
    images = torch.rand(4, 3, 16, 16)
    images[..., 8:] *= 0.3
    targets = torch.zeros(4, 16, 16, dtype=torch.uint8)
    logits = torch.full((4, 1, 16, 16), -3.0)
    logits[..., 8:] = 3.0
    optimizer = torch.optim.Adam(network.beside.parameters(), 0.02)
    for _ in range(60):
        beside = network(network.normalise(images)).beside
        optimizer.zero_grad()
        network.beside.loss(beside, logits, targets).backward()
        optimizer.step()
    found = network(network.normalise(images)).beside[:, 0]
    assert (found[..., 2:].mean((1, 2)) > found[..., :2].mean((1, 2)) + 0.5).all()


def test_the_score_is_what_the_module_says_on_the_grid() -> None:
    beside = np.random.default_rng(0).random((1, 4, 4), np.float32)
    seen = Seen(np.zeros((8, 8), np.float32), beside=beside)
    np.testing.assert_array_equal(PredictedLoss(SETTINGS)(seen), resized(beside[0], 8))


def test_a_random_share_is_searched_and_the_rest_where_it_is_too_small() -> None:
    pool = PixelPool(8, 8, np.ones((8, 8), bool), np.full((8, 8), -1, np.int32), np.empty((0, 2), np.int32))
    score = np.arange(64, dtype=np.float32).reshape(8, 8)
    seen = Seen(np.zeros((8, 8), np.float32), score=score)
    strategy = RandomSubset(QueryConfig(), RandomSubsetConfig(percent=20))
    first = [int(score[strategy(pool, seen, 1, np.random.default_rng(n)).cells][0]) for n in range(300)]
    # of a fifth of 64 pixels the best one is on average the fifth of all
    assert 3 < 63 - np.mean(first) < 5
    few = strategy(pool, seen, 60, np.random.default_rng(0))
    assert len(set(map(tuple, few.xy))) == 60
    assert (np.diff(score[few.cells])[:5] < 0).all()
