"""TA-VAAL: its losses, and that the VAE learns and the discriminator tells apart what can be told apart."""

from itertools import islice

import numpy as np
import pytest
import torch
from round_data import SIZE, InMemory, toys
from torch.nn.functional import binary_cross_entropy

from atal_ray.acquisition.methods.ta_vaal import (
    CELLS,
    DenseVae,
    Discriminator,
    RankModule,
    Unlabelled,
    UnlabelledConfig,
    balanced_bce,
    fit_steps,
    labelled_cells,
)
from atal_ray.acquisition.seen import Seen
from atal_ray.networks.beside import attach

SETTINGS = UnlabelledConfig(width=8, latent=4, channels=4, rate=2e-3)


def data(**fields: int) -> InMemory:
    networks = toys()
    attach(networks[0], RankModule, SETTINGS)
    return InMemory(networks, **fields)


def test_ranks_are_compared_by_cross_entropy() -> None:
    difference, larger = torch.tensor([0.5, -2.0]), torch.tensor([True, True])
    expected = binary_cross_entropy(torch.sigmoid(difference), torch.ones(2))
    torch.testing.assert_close(RankModule([8], SETTINGS).rank(difference, larger), expected)


def test_either_kind_of_cell_weighs_the_same() -> None:
    logits, labelled = torch.randn(2, 1, 3, 3), torch.zeros(2, 1, 3, 3, dtype=torch.bool)
    labelled[0, 0, 1, 1] = True
    p = torch.sigmoid(logits).double()
    rare = -torch.log(p[labelled]).mean()
    common = -torch.log(1 - p[~labelled]).mean()
    assert balanced_bce(logits, labelled).item() == pytest.approx(((rare + common) / 2).item(), rel=1e-5)
    assert torch.isfinite(balanced_bce(logits, torch.ones_like(labelled)))


def test_cells_with_a_labelled_pixel() -> None:
    batch = next(data().batches())
    expected = np.zeros((2, CELLS, CELLS), bool)
    for of, (x, y) in zip(batch.of_image, batch.xy, strict=True):
        expected[of, y * CELLS // SIZE, x * CELLS // SIZE] = True
    np.testing.assert_array_equal(labelled_cells(batch)[:, 0].numpy(), expected)


def test_the_vae_learns_and_the_discriminator_separates() -> None:
    torch.manual_seed(0)
    vae, judge, found = DenseVae(8, 4), Discriminator(4), data(images=4, points=40, right=True)
    settings = UnlabelledConfig(width=8, latent=4, channels=4, rate=2e-3, beta=1e-3, epochs=100)
    losses = np.array(list(islice(fit_steps(vae, judge, found, settings), 110)))
    assert losses[-20:, 0].mean() < 0.5 * losses[:20, 0].mean()
    vae.eval()
    scores: dict[bool, list[float]] = {True: [], False: []}
    with torch.no_grad():
        for batch in found.batches():
            small = torch.nn.functional.interpolate(batch.images, (128, 128), mode="bilinear", antialias=True)
            beside = found.networks[0](found.networks[0].normalise(batch.images)).beside
            ranks = torch.nn.functional.interpolate(beside, (CELLS, CELLS), mode="area")
            told = torch.sigmoid(judge(torch.cat([vae.mean(vae.encoder(small)), ranks], 1)))
            labelled = labelled_cells(batch)
            for kind in (True, False):
                scores[kind] += told[labelled == kind].tolist()
    assert np.mean(scores[True]) > np.mean(scores[False]) + 0.03


def test_its_score_is_the_discriminator_on_the_grid_and_depends_on_what_was_fitted() -> None:
    found = data(images=4)
    score = Unlabelled(UnlabelledConfig(width=8, latent=4, channels=4, epochs=1))
    score.state = score.fit(found)
    again = Unlabelled(UnlabelledConfig(width=8, latent=4, channels=4, epochs=1)).fit(found)
    assert all(torch.equal(score.state[key], again[key]) for key in again)
    batch = next(found.batches())
    output = found.networks[0](found.networks[0].normalise(batch.images))
    image = (batch.images[0].permute(1, 2, 0) * 255).round().numpy().astype(np.uint8)
    seen = Seen(np.zeros((SIZE, SIZE), np.float32), beside=output.beside[0].detach().numpy(), image=image)
    values = score(seen)
    assert values.shape == (SIZE, SIZE)
    assert 0 <= values.min() < values.max() <= 1
    score.state = {key: torch.zeros_like(value) for key, value in score.state.items()}
    assert np.allclose(score(seen), 0.5)


def test_no_more_images_than_wanted_are_seen() -> None:
    found = data(images=6)
    settings = UnlabelledConfig(width=8, latent=4, channels=4, epochs=2, most_images=4)
    assert len(list(fit_steps(DenseVae(8, 4), Discriminator(4), found, settings))) == 4
    assert len(found.asked) == 8
