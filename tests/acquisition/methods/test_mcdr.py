"""MCDR: draws of each image for itself, votes, and windows."""

import numpy as np
import pytest
import torch
from toy_network import Toy

from atal_ray.acquisition.methods.mcdr import (
    Mcdr,
    McdrConfig,
    VoteEntropy,
    Windows,
    WindowsConfig,
    window_means,
)
from atal_ray.acquisition.pick import PixelPool
from atal_ray.acquisition.predictions import Predictions, Wants, predict
from atal_ray.acquisition.seen import Seen
from atal_ray.config import AttackConfig, QueryConfig
from atal_ray.errors import ConfigError
from atal_ray.networks.dropout import ChannelDropout, add_dropout, drawing
from atal_ray.networks.protocol import SaliencyNetwork, SaliencyOutput

RNG = np.random.default_rng(0)
SIZE = 12


def network(rate: float = 0.5) -> Toy:
    torch.manual_seed(0)
    made = Toy().eval().requires_grad_(False)
    add_dropout(made, rate, "Toy")
    return made


def dropped(made: Toy, images: torch.Tensor, numbers: list[int], passes: int = 5) -> Predictions:
    chances = [np.random.default_rng(number) for number in numbers]
    wants = Wants(members=True, features=True, passes=passes)
    return predict([made], images, wants, AttackConfig(), chances=chances)


def test_an_image_has_its_own_draws_whatever_is_beside_it() -> None:
    made, images = network(), torch.rand(3, 3, 16, 16)
    together = dropped(made, images, [5, 6, 7])
    alone = dropped(made, images[1:2], [6])
    assert together.members is not None
    assert alone.members is not None
    np.testing.assert_allclose(together.members[1], alone.members[0], atol=1e-6)
    assert np.ptp(alone.members[0].numpy(), axis=0).max() > 0.01  # the passes differ
    np.testing.assert_allclose(alone.clean[0], alone.members[0].mean(0), atol=1e-6)
    np.testing.assert_array_equal(together.features, made.saliency(images)[1].numpy())


def test_passes_are_those_of_the_whole_network_with_the_same_channels_dropped() -> None:
    made, images = network(), torch.rand(2, 3, 16, 16)
    found = dropped(made, images, [1, 2], passes=4)
    chances = [np.random.default_rng(number) for number in (1, 2)]

    def draw(channels: int) -> torch.Tensor:
        return torch.from_numpy(np.stack([chance.random(channels, np.float32) for chance in chances]))

    with drawing(made, draw):
        for number in range(4):
            expected = made.saliency(images)[0][:, 0].numpy()
            np.testing.assert_allclose(found.members[:, number], expected, atol=1e-6)
    np.testing.assert_array_equal(made.saliency(images)[0], made.saliency(images)[0])  # and then no more


def test_a_channel_is_dropped_as_often_as_said_and_the_mean_stays() -> None:
    part, maps = ChannelDropout(0.25).eval(), torch.ones(1, 20_000, 1, 1)
    assert torch.equal(part(maps), maps)
    part.draw = lambda channels: torch.from_numpy(RNG.random((1, channels), np.float32))
    values = part(maps).flatten()
    assert sorted(set(values.tolist())) == pytest.approx([0, 4 / 3])
    assert values.mean().item() == pytest.approx(1, abs=0.02)
    part.train()
    assert part(maps).mean().item() == pytest.approx(1, abs=0.02)


def test_a_network_that_does_not_split_cannot_drop() -> None:
    class Whole(Toy):
        encode = SaliencyNetwork.encode

        def forward(self, x: torch.Tensor) -> SaliencyOutput:
            raise AssertionError

    with pytest.raises(ConfigError, match=r"network\.dropout is 0\.25, but Whole has no encode and decode"):
        add_dropout(Whole(), 0.25, "Whole")


def test_votes() -> None:
    members = np.array([0.9, 0.6, 0.2, 0.1], np.float32).reshape(4, 1, 1) * np.ones((4, 2, 2), np.float32)
    np.testing.assert_allclose(VoteEntropy()(Seen(members.mean(0), members=members)), 1.0)
    quarter = np.concatenate([members[:1], members[2:3], members[2:3], members[3:]])
    expected = -(0.25 * np.log2(0.25) + 0.75 * np.log2(0.75))
    np.testing.assert_allclose(VoteEntropy()(Seen(quarter.mean(0), members=quarter)), expected, rtol=1e-6)


def test_the_number_of_passes_is_a_setting() -> None:
    assert Mcdr(McdrConfig(passes=7)).passes == 7


def pool(free: np.ndarray | None = None) -> PixelPool:
    free = np.ones((SIZE, SIZE), bool) if free is None else free
    return PixelPool(SIZE, SIZE, free, np.full((SIZE, SIZE), -1, np.int32), np.empty((0, 2), np.int32))


def test_window_means_are_cut_off_at_the_sides() -> None:
    score = RNG.random((SIZE, SIZE))
    found = window_means(score, 5)
    for row, column in ((0, 0), (3, 11), (6, 6)):
        window = score[max(0, row - 2) : row + 3, max(0, column - 2) : column + 3]
        assert found[row, column] == pytest.approx(window.mean())


def test_windows_lie_apart_and_their_highest_pixels_are_asked() -> None:
    score = np.zeros((SIZE, SIZE), np.float32)
    score[1:4, 1:4], score[8:11, 7:10] = 0.5, 0.4
    score[2, 3], score[10, 8] = 0.9, 0.6
    strategy = Windows(QueryConfig(), WindowsConfig(side=3))
    found = strategy(pool(), Seen(score * 0, score=score), 2, np.random.default_rng(0))
    assert found.xy.tolist() == [[3, 2], [8, 10]]


def test_where_no_window_is_left_single_pixels_follow() -> None:
    score = RNG.random((SIZE, SIZE)).astype(np.float32)
    free = RNG.random((SIZE, SIZE)) < 0.5
    strategy = Windows(QueryConfig(), WindowsConfig(side=9))
    found = strategy(pool(free), Seen(score * 0, score=score), 20, np.random.default_rng(0))
    assert len({tuple(xy) for xy in found.xy}) == 20
    assert free[found.cells].all()
