"""Methods with their parts: who speaks, and how many passes of a network that takes."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from toy_network import Toy

from atal_ray.acquisition.asking import Asking
from atal_ray.acquisition.names import Names
from atal_ray.acquisition.passes import passes_of
from atal_ray.acquisition.predictions import Wants, predict
from atal_ray.acquisition.registered import METHODS
from atal_ray.acquisition.scores.certainty import Entropy
from atal_ray.acquisition.scores.pixel_score import Map
from atal_ray.acquisition.seen import Seen
from atal_ray.config import AttackConfig, QueryConfig
from atal_ray.config.query import Predictor
from atal_ray.errors import ConfigError, DataError
from atal_ray.networks.beside import attach
from atal_ray.networks.dropout import add_dropout
from atal_ray.networks.protocol import SaliencyOutput

L, STEPS, T = 3, 4, 20
PASSES = {
    "atal": (STEPS, 2 * L - 1),
    "ent": (0, 1),
    "den": (0, L),
    "bald": (0, L),
    "pixelpick": (0, 1),
    "ripu": (0, 1),
    "clasp": (0, 1),
    "random": (0, 0),
    "foreground": (0, 1),
    "centre": (0, 0),
    "superpixels": (0, 0),
    "grid": (0, 0),
    "boundary": (0, 1),
    "mcdr": (0, 1),
    "cset": (0, 1),
    "llal": (0, 1),
    "ta-vaal": (0, 1),
    "nes": (0, 2),
    "isal": (0, 1),
    "oracle": (0, 1),
}
"""Method -> passes of the encoder for an image with a gradient, and without; of the decoder as many, but for
mcdr.
"""


class Counting(Toy):
    """Counts its passes."""

    def __init__(self) -> None:
        super().__init__()
        self.passes = {True: 0, False: 0}
        self.decoded = 0

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        self.passes[x.requires_grad] += 1
        return super().encode(x)

    def decode(self, levels: tuple[torch.Tensor, ...], x: torch.Tensor) -> SaliencyOutput:
        self.decoded += 1
        return super().decode(levels, x)


def members() -> list[Counting]:
    torch.manual_seed(0)
    return [Counting().eval().requires_grad_(False) for _ in range(L)]


def passes(networks: Sequence[Counting]) -> tuple[int, int]:
    with_gradient, without = (sum(network.passes[kind] for network in networks) for kind in (True, False))
    return with_gradient, without


def asked_of(query: QueryConfig) -> tuple[int, int]:
    asking, networks = Asking.of(query), members()
    if asking.method.members == "searched":
        asking.method.state = {"members": torch.tensor([2, 0])}
    if asking.looks:
        images = torch.rand(2, 3, 16, 16)
        speaking = asking.speaking(networks)
        if asking.score is not None and asking.score.beside is not None:
            attach(speaking[-1], asking.score.beside, asking.score.settings)
            speaking[-1].passes[False] = speaking[-1].decoded = 0
        if asking.wants.passes > 1:
            add_dropout(speaking[-1], 0.25, "Counting")
        chances = [np.random.default_rng(number) for number in range(2)]
        predict(speaking, images, asking.wants, AttackConfig(steps=STEPS), chances=chances)
    each = passes_of(asking, AttackConfig(steps=STEPS), L)
    assert (each.gradient, each.plain) == passes(networks)
    decoded = sum(network.decoded for network in networks)
    assert decoded == (T if query.method == "mcdr" else sum(passes(networks)))
    return passes(networks)


def test_every_method_is_counted() -> None:
    assert set(PASSES) == set(METHODS.known)


@pytest.mark.parametrize("method", PASSES)
def test_a_method_takes_the_passes_that_it_needs(method: str) -> None:
    assert asked_of(QueryConfig(method=method)) == PASSES[method]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (QueryConfig(score="entropy"), (0, L)),  # ATAL without its attack
        (QueryConfig(strategy="top"), (STEPS, 2 * L - 1)),  # without RDS
        (QueryConfig(strategy="random"), (0, 0)),
        (QueryConfig(method="own_plugins:Spread"), (0, L)),
    ],
)
def test_parts_that_are_replaced_change_what_it_takes(query: QueryConfig, expected: tuple[int, int]) -> None:
    assert asked_of(query) == expected


@pytest.mark.parametrize("model", ["last", "ensemble"])
@pytest.mark.parametrize("scale", [1.0, 0.5])
@pytest.mark.parametrize("score", ["flip-margin", "own_plugins:Doubtful"])
def test_passes_of_an_attack_are_foreseen(model: Predictor, scale: float, score: str) -> None:
    asking, networks = Asking.of(QueryConfig(score=score)), members()
    attack = AttackConfig(steps=STEPS, model=model, scale=scale)
    predict(networks, torch.rand(2, 3, 16, 16), asking.wants, attack)
    each = passes_of(asking, attack, L)
    assert (each.gradient, each.plain) == passes(networks)


def test_only_what_is_wanted_is_there() -> None:
    networks, images = members(), torch.rand(2, 3, 16, 16)
    found = predict(networks, images, Wants(), AttackConfig())
    assert (found.attacked, found.features, found.members) == (None, None, None)
    found = predict(networks, images, Wants(features=True, members=True), AttackConfig())
    maps = np.stack([network.saliency(images)[0][:, 0].numpy() for network in networks], 1)
    np.testing.assert_allclose(found.members, maps, atol=1e-6)
    np.testing.assert_allclose(found.clean, maps.mean(1), atol=1e-6)
    np.testing.assert_array_equal(found.features, networks[-1].saliency(images)[1].numpy())
    one = found.of(1)
    np.testing.assert_array_equal(one.clean, found.clean[1])
    assert one.attacked.size == one.score.size == 0


def test_an_attack_adds_to_what_is_seen_without_one() -> None:
    networks, images = members(), torch.rand(1, 3, 16, 16)
    plain = predict(networks, images, Wants(features=True), AttackConfig())
    found = predict(networks, images, Wants(attacked=True, features=True, members=True), AttackConfig())
    np.testing.assert_allclose(found.clean, plain.clean, atol=1e-6)
    np.testing.assert_allclose(found.features, plain.features, atol=1e-6)
    assert found.members is not None
    assert found.attacked is not None
    assert (found.attacked - found.clean).abs().max() > 0.001


def test_no_member_is_an_error() -> None:
    with pytest.raises(DataError, match="at least one"):
        predict([], torch.rand(1, 3, 16, 16), Wants(), AttackConfig())


@pytest.mark.parametrize(
    ("query", "name"),
    [
        (QueryConfig(), "atal"),
        (QueryConfig(score="flip-margin", strategy="rds"), "atal"),
        (QueryConfig(method="ent"), "ent"),
        (QueryConfig(score="entropy"), "atal with entropy and rds"),
        (QueryConfig(strategy="random"), "atal with random"),
    ],
)
def test_its_name_says_what_was_replaced(query: QueryConfig, name: str) -> None:
    assert str(Names.of(query)) == name


def test_an_unknown_method_is_a_sentence() -> None:
    with pytest.raises(ConfigError, match=r"query\.method is 'attal', did you mean atal"):
        Asking.of(QueryConfig(method="attal"))


class Odd(Entropy):
    """Leaves a row out."""

    def __call__(self, seen: Seen) -> Map:
        return super().__call__(seen)[1:]


def test_a_score_of_another_shape_is_refused() -> None:
    asking = replace(Asking.of(QueryConfig(method="ent")), score=Odd())
    with pytest.raises(ConfigError, match=r"Odd gives scores \[7, 8\]: it must give one for each pixel"):
        asking.scored(Seen.nothing(8))
