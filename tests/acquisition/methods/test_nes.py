"""NES: what is searched, what is held out, and the selection against all that could be selected."""

from itertools import permutations

import numpy as np
import pytest
import torch
from round_data import InMemory, toys

from atal_ray.acquisition.methods.nes import (
    Nes,
    NesConfig,
    forward_select,
    negative_log_likelihood,
    probabilities,
)
from atal_ray.acquisition.trained import is_held_out
from atal_ray.config import NetworkConfig

RNG = np.random.default_rng(1)


@pytest.mark.parametrize("seed", range(5))
def test_each_choice_is_the_best_one_there_is(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p, labels = rng.random((4, 30)), rng.integers(2, size=30).astype(np.uint8)
    chosen = forward_select(p, labels, 3)

    def losses(order: tuple[int, ...]) -> tuple[float, ...]:
        return tuple(negative_log_likelihood(p[list(order[:n])].mean(0), labels) for n in range(1, 4))

    # among all orders it has the smallest first loss, then the smallest second one, then the third
    assert losses(tuple(chosen)) == min(losses(order) for order in permutations(range(4), 3))


def test_the_likelihood_is_that_of_the_labels() -> None:
    p, labels = np.array([0.9, 0.2, 1.0]), np.array([1, 0, 0], np.uint8)
    expected = -(np.log(0.9) + np.log(0.8) + np.log(1e-6)) / 3
    assert negative_log_likelihood(p, labels) == pytest.approx(expected)


def test_networks_are_judged_by_held_out_points_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    data = InMemory(toys(4))
    monkeypatch.setattr(Nes, "held_out", 0.5)
    found = Nes(NesConfig(members=2)).fit(data)["members"].tolist()
    p, labels = [], []
    for batch in data.batches():
        mine = [
            is_held_out(0.5, 0, batch.image_id[of], int(x), int(y))
            for of, (x, y) in zip(batch.of_image, batch.xy, strict=True)
        ]
        p.append(np.stack([probabilities(network, batch)[mine] for network in data.networks]))
        labels.append(batch.labels[mine])
    assert 0 < len(np.concatenate(labels)) < 24
    assert found == forward_select(np.concatenate(p, 1), np.concatenate(labels), 2)


def test_without_a_held_out_point_the_first_networks_speak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Nes, "held_out", 1e-9)
    assert Nes(NesConfig(members=3)).fit(InMemory(toys(2)))["members"].tolist() == [0, 1]


def test_probabilities_are_the_maps_at_the_points() -> None:
    data = InMemory()
    batch = next(data.batches())
    maps = data.networks[0].saliency(batch.images)[0][:, 0]
    expected = [maps[of, y, x].item() for of, (x, y) in zip(batch.of_image, batch.xy, strict=True)]
    np.testing.assert_allclose(probabilities(data.networks[0], batch), expected, rtol=1e-6)


def test_the_search_draws_other_networks_and_begins_with_the_configured_one() -> None:
    base = NetworkConfig(weights="random")
    settings = NesConfig(networks=("f3net", "pfsnet"), widths=(16, 32), dropouts=(0.0, 0.2))
    drawn = [Nes(settings).network(base, number, seed=0) for number in range(1, 40)]
    assert drawn[0] == base
    assert {one.name for one in drawn[1:]} == {"f3net", "pfsnet"}
    assert {one.width for one in drawn[1:]} == {16, 32}
    assert {one.dropout for one in drawn[1:]} == {0.0, 0.2}
    assert drawn == [Nes(settings).network(base, number, seed=0) for number in range(1, 40)]
    assert drawn != [Nes(settings).network(base, number, seed=1) for number in range(1, 40)]
    assert all(one.weights == "random" for one in drawn)


def test_a_share_of_the_points_is_held_out_and_always_the_same() -> None:
    points = [(f"image-{n % 50}", n, n // 7) for n in range(4000)]
    held = [is_held_out(0.1, 0, *point) for point in points]
    assert 0.08 < np.mean(held) < 0.12
    assert held == [is_held_out(0.1, 0, *point) for point in points]
    assert held != [is_held_out(0.1, 1, *point) for point in points]
    assert not any(is_held_out(0.0, 0, *point) for point in points)
    assert isinstance(torch.tensor(held).sum().item(), int)
